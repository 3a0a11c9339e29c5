-- Ids of the tasks for get_slowest_tasks(), the slowest first. Planned anew for each call, as _slowest_steps is.
create or replace function tasker._slowest_tasks(namespace text, name text, since timestamptz, max_rows integer)
returns setof bigint
language plpgsql stable rows 10
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_custom_plan
as $$
#variable_conflict error
declare
  first_id constant bigint := tasker._first_task_since(_slowest_tasks.since);
  wanted   bigint[];
begin
  perform tasker._check_most('max_rows', _slowest_tasks.max_rows);
  if _slowest_tasks.namespace is not null then
    perform tasker._namespace_id(_slowest_tasks.namespace);
  end if;
  if num_nonnulls(_slowest_tasks.namespace, _slowest_tasks.name) > 0 then
    wanted := array(
      select tt.template_id
      from tasker.task_templates tt
      join tasker.namespaces n on n.namespace_id = tt.namespace_id
      where (_slowest_tasks.namespace is null or n.name = _slowest_tasks.namespace)
        and (_slowest_tasks.name is null or tt.name = _slowest_tasks.name));
  end if;

  return query
  select t.task_id
  from tasker.tasks t
  where t.task_id >= first_id
    and t.created_at >= _slowest_tasks.since
    and t.state in ('complete', 'error', 'resolved_manually')
    and (wanted is null or t.template_id = any(wanted))
  order by t.finished_at - t.started_at desc, t.task_id
  limit _slowest_tasks.max_rows;
end $$;
