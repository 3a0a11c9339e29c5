create or replace function tasker.get_task_execution_contexts(task_ids bigint[])
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
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  reach constant text[] := tasker._reach('{requester,monitor}');
begin
  if get_task_execution_contexts.task_ids is null then
    raise exception using
      errcode = 'null_value_not_allowed',
      message = 'task_ids must not be NULL';
  end if;

  return query
  with counts as (
    select
      r.task_id,
      count(*)::integer as total,
      (count(*) filter (where r.current_state in ('pending', 'waiting_for_retry')))::integer as pending,
      (count(*) filter (where r.current_state = 'waiting_for_retry'))::integer as retrying,
      (count(*) filter (where r.current_state = 'enqueued'))::integer as enqueued,
      (count(*) filter (where r.current_state = 'in_progress'))::integer as in_progress,
      (count(*) filter (where r.current_state in ('complete', 'resolved_manually', 'skipped')))::integer as completed,
      (count(*) filter (where r.current_state = 'cancelled'))::integer as cancelled,
      (count(*) filter (where r.current_state = 'error'))::integer as failed,
      (count(*) filter (where r.ready_for_execution))::integer as ready
    from tasker._step_readiness(get_task_execution_contexts.task_ids) r
    group by r.task_id
  ), judged as (
    select
      c.*,
      case
        when c.ready > 0 then 'has_ready_steps'
        when c.enqueued + c.in_progress > 0 then 'processing'
        when c.failed > 0 then 'blocked_by_failures'
        when c.completed + c.cancelled = c.total then 'all_complete'
        else 'waiting_for_dependencies'
      end as judgement
    from counts c
  )
  select
    j.task_id,
    t.template_id,
    t.state,
    j.total,
    j.pending,
    j.in_progress,
    j.completed,
    j.failed,
    j.ready,
    j.judgement,
    case j.judgement
      when 'has_ready_steps' then 'execute_ready_steps'
      when 'processing' then 'wait_for_completion'
      when 'blocked_by_failures' then 'handle_failures'
      when 'all_complete' then 'finalize_task'
      else 'wait_for_dependencies'
    end,
    round(100.0 * j.completed / j.total, 2)::numeric(5,2),
    case
      when j.failed > 0 and j.ready + j.enqueued + j.in_progress + j.retrying = 0 then 'blocked'
      when j.failed > 0 then 'degraded'
      when j.retrying > 0 then 'recovering'
      else 'healthy'
    end,
    j.enqueued
  from judged j
  join tasker.tasks t on t.task_id = j.task_id
  join tasker.namespaces n on n.namespace_id = t.namespace_id
  where reach is null or n.name = any(reach)
  order by j.task_id;
end $$;
comment on function tasker.get_task_execution_contexts(bigint[]) is
$$Where many tasks stand, one row each, by task_id; tasks that do not exist have no row.
status: the task's state. pending_steps: pending or waiting_for_retry. in_progress_steps and enqueued_steps: by state. completed_steps: complete, resolved_manually or skipped. failed_steps: error. ready_steps: ready_for_execution, as get_step_readiness_status has it. Cancelled steps count in total_steps only. completion_percentage: completed of total, 0 to 100.
execution_status, first match: has_ready_steps; processing (something in flight); blocked_by_failures (a step in error); all_complete (every step completed or cancelled); waiting_for_dependencies (also while waiting for a retry). recommended_action accordingly: execute_ready_steps, wait_for_completion, handle_failures, finalize_task, wait_for_dependencies.
health_status: blocked (a step is in error and nothing else moves), degraded (a step is in error, others go on), recovering (a step waits for a retry), healthy.
Error: 22004 when task_ids is NULL.$$;
