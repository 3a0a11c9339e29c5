-- Takes back everything that grant_worker() and its kin gave.
create or replace function tasker._revoke_all()
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  grantees oid[];
begin
  with revoked as (
    delete from tasker.namespace_grants g returning g.role
  )
  select array_agg(distinct r.role::oid) into grantees from revoked r;
  perform tasker._apply_grants(r.oid) from pg_roles r where r.oid = any(grantees);
end $$;
