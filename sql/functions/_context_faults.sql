-- What is wrong with a context by a JSON Schema: a path (JSON pointer) and a message for each fault. The compiled schema
-- is kept in the session under cache_key. Text and not jsonb: see _context_faults_of_text.
create or replace function tasker._context_faults(cache_key text, schema jsonb, context jsonb)
returns table (path text, message text)
language sql immutable parallel safe
begin atomic
  select f.path, f.message
  from tasker._context_faults_of_text(_context_faults.cache_key, _context_faults.schema::text, _context_faults.context::text) f;
end;
