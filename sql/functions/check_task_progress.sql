create or replace function tasker.check_task_progress(task_id bigint)
returns table (
  status text, execution_status text, recommended_action text, completion_percentage numeric(5, 2),
  ready_steps integer, finished boolean)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
begin
  return query
  select c.status, c.execution_status, c.recommended_action, c.completion_percentage, c.ready_steps,
    c.status not in ('pending', 'in_progress')
  from tasker.get_task_execution_context(check_task_progress.task_id) c;
end $$;
comment on function tasker.check_task_progress is
  'For an orchestrator outside: where a task stands and what to do next. Raises 42704 for an unknown task.';
