create or replace function tasker.resume_namespace(name text)
returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  id constant bigint := tasker._namespace_id(resume_namespace.name);
begin
  update tasker.namespaces n set paused = false, resumed_at = case when n.paused then tasker.clock() else n.resumed_at end, fault = null, fault_until = null where n.namespace_id = id;
  perform tasker._wake();
end $$;
comment on function tasker.resume_namespace is
  'Ends pause_namespace(), and tries a namespace again at once that was set aside for a fault. Raises 42704 for an unknown namespace.';
