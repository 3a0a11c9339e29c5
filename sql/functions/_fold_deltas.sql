-- Replaces a namespace's deltas, but for those that somebody has locked, by their sums.
create or replace function tasker._fold_deltas(namespace_id bigint)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
begin
  with folded as (
    delete from tasker.in_flight_deltas d
    where d.ctid in (
      select f.ctid
      from tasker.in_flight_deltas f
      where f.namespace_id = _fold_deltas.namespace_id
      for update skip locked)
    returning d.template_id, d.delta
  )
  insert into tasker.in_flight_deltas (namespace_id, template_id, delta)
  select _fold_deltas.namespace_id, f.template_id, sum(f.delta)
  from folded f
  group by f.template_id
  having sum(f.delta) <> 0;
end $$;
