create or replace function tasker.task_results(task_id bigint)
returns table (
  step_id    bigint,
  step_name  text,
  state      text,
  attempts   integer,
  results    jsonb,
  last_error jsonb
)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select tasker._check_tasks('{requester}', array[tasker._known_task(task_results.task_id)]);

  select
    s.step_id,
    ts.name,
    s.state,
    s.attempts,
    s.results,
    s.last_error
  from tasker.steps s
  join tasker.template_steps ts on ts.template_step_id = s.template_step_id
  where s.step_id between task_results.task_id << 16 and (task_results.task_id << 16) + 65535
  order by s.step_id;
$$;
comment on function tasker.task_results(bigint) is
  'What the steps of a task returned, in template order: results of the completed ones, the last error of those that failed. No rows before the task has started. Errors: 42704 when the task does not exist, 22004 when task_id is NULL.';
