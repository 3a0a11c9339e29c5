create or replace function tasker.pause_namespace(name text)
returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  id constant bigint := tasker._namespace_id(pause_namespace.name);
begin
  update tasker.namespaces n set paused = true where n.namespace_id = id;
end $$;
comment on function tasker.pause_namespace is
  'Enqueues nothing more in a namespace until resume_namespace(). What is in its queue or at workers goes on, results are settled. Raises 42704 for an unknown namespace.';
