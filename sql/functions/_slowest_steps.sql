-- Ids of the steps for get_slowest_steps(), the slowest first. Planned anew for each call, so that only the conditions
-- that were given remain. No nested loops, as in _step_metrics.
create or replace function tasker._slowest_steps(
  namespace text, name text, step_name text, since timestamptz, max_rows integer)
returns setof bigint
language plpgsql stable rows 10
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_custom_plan
set enable_nestloop = off
as $$
#variable_conflict error
declare
  first_id constant bigint := tasker._first_task_since(_slowest_steps.since);
  wanted   bigint[];
begin
  perform tasker._check_most('max_rows', _slowest_steps.max_rows);
  if _slowest_steps.namespace is not null then
    perform tasker._namespace_id(_slowest_steps.namespace);
  end if;
  if num_nonnulls(_slowest_steps.namespace, _slowest_steps.name, _slowest_steps.step_name) > 0 then
    wanted := array(
      select ts.template_step_id
      from tasker.template_steps ts
      join tasker.task_templates tt on tt.template_id = ts.template_id
      join tasker.namespaces n on n.namespace_id = tt.namespace_id
      where (_slowest_steps.namespace is null or n.name = _slowest_steps.namespace)
        and (_slowest_steps.name is null or tt.name = _slowest_steps.name)
        and (_slowest_steps.step_name is null or ts.name = _slowest_steps.step_name));
  end if;

  return query
  select s.step_id
  from tasker.steps s
  join tasker.tasks t on t.task_id = s.task_id
  where s.step_id >= first_id << 16
    and t.task_id >= first_id
    and t.created_at >= _slowest_steps.since
    and s.state in ('complete', 'error')
    and (wanted is null or s.template_step_id = any(wanted))
  order by s.finished_at - coalesce(s.started_at, s.enqueued_at) desc, s.step_id
  limit _slowest_steps.max_rows;
end $$;
