create or replace function tasker.revoke_requester(role text, namespace text)
returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
begin
  return tasker._revoke('requester', revoke_requester.role, revoke_requester.namespace);
end $$;
comment on function tasker.revoke_requester is
  'Takes back what grant_requester() gave for this namespace. Returns false when it was not given. Raises 42704 for an unknown role.';
