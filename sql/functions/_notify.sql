-- Notifies those who LISTEN on {namespace}_events, once for each namespace that has published since the last pass.
create or replace function tasker._notify()
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  namespaces text[];
begin
  if not exists (select from tasker.notices) then
    return;
  end if;
  -- What another pass has taken, it tells.
  with taken as materialized (
    select n.ctid as row_id from tasker.notices n for update skip locked
  ), gone as (
    delete from tasker.notices n where n.ctid = any(array(select t.row_id from taken t)) returning n.namespace
  )
  select array_agg(distinct g.namespace) into namespaces from gone g;
  perform pg_notify(n.name || '_events', '') from unnest(namespaces) n(name);
end $$;
