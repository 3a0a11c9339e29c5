-- Ids of the tasks for get_slowest_tasks(), the slowest first. Planned anew for each call, as _slowest_steps is.
create or replace function tasker._slowest_tasks(namespace text, name text, since timestamptz, max_rows integer)
returns setof bigint
language plpgsql stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_custom_plan
as $$
#variable_conflict error
declare
  first_id constant bigint := tasker._first_task_since(_slowest_tasks.since);
begin
  perform tasker._check_max_rows(_slowest_tasks.max_rows);
  if _slowest_tasks.namespace is not null then
    perform tasker._namespace_id(_slowest_tasks.namespace);
  end if;

  return query
  select t.task_id
  from tasker.tasks t
  join tasker.task_templates tt on tt.template_id = t.template_id
  join tasker.namespaces n on n.namespace_id = tt.namespace_id
  where t.task_id >= first_id
    and t.created_at >= _slowest_tasks.since
    and t.state in ('complete', 'error', 'resolved_manually')
    and (_slowest_tasks.namespace is null or n.name = _slowest_tasks.namespace)
    and (_slowest_tasks.name is null or tt.name = _slowest_tasks.name)
  order by t.finished_at - t.started_at desc, t.task_id
  limit _slowest_tasks.max_rows;
end $$;
