create or replace function tasker.revoke_worker(role text, namespace text)
returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
begin
  return tasker._revoke('worker', revoke_worker.role, revoke_worker.namespace);
end $$;
comment on function tasker.revoke_worker is
  'Takes back what grant_worker() gave for this namespace. Returns false when it was not given. Raises 42704 for an unknown role.';
