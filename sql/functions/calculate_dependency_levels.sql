create or replace function tasker.calculate_dependency_levels(task_id bigint)
returns table (
  step_id          bigint,
  dependency_level integer,
  name             text
)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select tasker._known_task(calculate_dependency_levels.task_id);

  select
    (t.task_id << 16) + 1 + ts.step_index,
    ts.level,
    ts.name
  from tasker.tasks t
  join tasker.template_steps ts on ts.template_id = t.template_id
  where t.task_id = calculate_dependency_levels.task_id
  order by ts.level, ts.step_index;
$$;
comment on function tasker.calculate_dependency_levels(bigint) is
  'The level of each step of a task, by level: the length of the longest path to it from a step without parents, which has level 0. Errors: 42704 when the task does not exist, 22004 when task_id is NULL.';
