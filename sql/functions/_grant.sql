-- What the three grant functions do. plain: NULL for those that know no such thing.
create or replace function tasker._grant(granted text, role text, namespace text, plain boolean)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  id constant oid := tasker._role_id(_grant.role);
begin
  if _grant.role = any(tasker._role_names()) then
    raise exception using
      errcode = 'invalid_grant_operation',
      message = format('role "%s" is one of those that hold for all namespaces', _grant.role),
      hint = 'Name a role of your own.';
  end if;
  -- An author may be the one who makes it.
  if _grant.granted = 'author' then
    perform tasker._check_namespace_name(_grant.namespace);
  else
    perform tasker._namespace_id(_grant.namespace);
  end if;

  insert into tasker.namespace_grants as g (role, granted, namespace, plain, granted_at, granted_by)
  values (id, _grant.granted, _grant.namespace, coalesce(_grant.plain, false), tasker.clock(), session_user)
  on conflict on constraint namespace_grants_pkey do update set plain = excluded.plain;
  perform tasker._apply_grants(id);
end $$;
