-- Gives the roles of a namespace their rights on queues that were made just now.
create or replace function tasker._regrant(namespace text)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
begin
  perform tasker._apply_grants(g.role)
  from (select distinct g.role::oid as role from tasker.namespace_grants g where g.namespace = _regrant.namespace) g
  join pg_roles r on r.oid = g.role;
end $$;
