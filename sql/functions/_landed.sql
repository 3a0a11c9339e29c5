-- Notes that steps are not in flight any more.
create or replace function tasker._landed(step_ids bigint[])
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
begin
  insert into tasker.in_flight_deltas (namespace_id, template_id, delta)
  select t.namespace_id, t.template_id, -count(*)
  from unnest(_landed.step_ids) i(step_id)
  cross join lateral (select t.namespace_id, t.template_id from tasker.tasks t where t.task_id = i.step_id >> 16 offset 0) t
  group by t.namespace_id, t.template_id;
end $$;
