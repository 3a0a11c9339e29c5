create or replace function tasker.revoke_author(role text, namespace text)
returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
begin
  return tasker._revoke('author', revoke_author.role, revoke_author.namespace);
end $$;
comment on function tasker.revoke_author is
  'Takes back what grant_author() gave for this namespace. Returns false when it was not given. Raises 42704 for an unknown role.';
