create or replace function tasker.get_viable_steps(task_id bigint)
returns table (
  step_id      bigint,
  step_name    text,
  task_id      bigint,
  attempts     integer,
  max_attempts integer,
  level        integer
)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select
    r.step_id,
    r.name,
    r.task_id,
    r.attempts,
    r.max_attempts,
    r.level
  from tasker._step_readiness(array[tasker._known_task(get_viable_steps.task_id)]) r
  where r.ready_for_execution
  order by r.step_index;
$$;
comment on function tasker.get_viable_steps(bigint) is
  'The steps of a task that are ready for execution now (see get_step_readiness_status), in template order; attempts are those made so far. Errors: 42704 when the task does not exist, 22004 when task_id is NULL.';
