-- What the three revoke functions do.
create or replace function tasker._revoke(granted text, role text, namespace text)
returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  id constant oid := tasker._role_id(_revoke.role);
begin
  delete from tasker.namespace_grants g
  where g.role = id and g.granted = _revoke.granted and g.namespace = _revoke.namespace;
  if not found then
    return false;
  end if;
  perform tasker._apply_grants(id);
  return true;
end $$;
