-- Notes why a namespace cannot be enqueued to, and until when it is set aside; NULL and NULL: it can be again. While
-- somebody holds its row locked it stays as it is: the next pass finds the same and tries again.
create or replace function tasker._set_fault(namespace_id bigint, fault text, fault_until timestamptz)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
begin
  update tasker.namespaces n
  set fault = _set_fault.fault, fault_until = _set_fault.fault_until
  where n.namespace_id = (
    select l.namespace_id
    from tasker.namespaces l
    where l.namespace_id = _set_fault.namespace_id
    for no key update skip locked);
end $$;
