create or replace function tasker.get_task_execution_context(task_id bigint)
returns table (
  task_id               bigint,
  template_id           bigint,
  status                text,
  total_steps           integer,
  pending_steps         integer,
  in_progress_steps     integer,
  completed_steps       integer,
  failed_steps          integer,
  ready_steps           integer,
  execution_status      text,
  recommended_action    text,
  completion_percentage numeric(5,2),
  health_status         text,
  enqueued_steps        integer
)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select tasker._check_tasks('{requester,monitor}', array[get_task_execution_context.task_id]);

  select
    c.task_id,
    c.template_id,
    c.status,
    c.total_steps,
    c.pending_steps,
    c.in_progress_steps,
    c.completed_steps,
    c.failed_steps,
    c.ready_steps,
    c.execution_status,
    c.recommended_action,
    c.completion_percentage,
    c.health_status,
    c.enqueued_steps
  from tasker.get_task_execution_contexts(
    array[tasker._known_task(get_task_execution_context.task_id)]) c;
$$;
comment on function tasker.get_task_execution_context(bigint) is
  'Where a task stands: one row, the columns of get_task_execution_contexts. Errors: 42704 when the task does not exist, 22004 when task_id is NULL.';
