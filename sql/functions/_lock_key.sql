-- The advisory lock that stands for a named thing of ours. Kinds: namespace (enqueueing into it), create (making it), requests (shared by who
-- makes tasks in it, exclusive for who drops it), template, key (of idempotency).
create or replace function tasker._lock_key(kind text, name text)
returns bigint
language sql immutable parallel safe
return hashtextextended('tasker.' || _lock_key.kind || ':' || _lock_key.name, 0);
