-- Keeps a namespace from being dropped until the caller's transaction, which makes tasks in it, has ended; waits for a drop
-- that is open. What the caller reads of it in its next statement is how it is then. All who make tasks share the lock;
-- only drop_namespace takes it alone. (KEY SHARE on the row would do the same, and write a multixact for each pair of
-- producers.)
create or replace function tasker._keep_namespace(name text)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
begin
  perform pg_advisory_xact_lock_shared(tasker._lock_key('requests', _keep_namespace.name));
  -- Above read committed the next statement sees what this one does: the row says whether that is still so (40001).
  if current_setting('transaction_isolation') not in ('read committed', 'read uncommitted') then
    perform from tasker.namespaces n where n.name = _keep_namespace.name for key share;
  end if;
end $$;
