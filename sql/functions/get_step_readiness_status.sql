create or replace function tasker.get_step_readiness_status(task_id bigint, step_ids bigint[] default null)
returns table (
  step_id                 bigint,
  task_id                 bigint,
  template_step_id        bigint,
  name                    text,
  current_state           text,
  dependencies_satisfied  boolean,
  retry_eligible          boolean,
  ready_for_execution     boolean,
  last_failure_at         timestamptz,
  next_retry_at           timestamptz,
  total_parents           integer,
  completed_parents       integer,
  attempts                integer,
  max_attempts            integer,
  backoff_request_seconds integer,
  last_attempted_at       timestamptz
)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select
    r.step_id,
    r.task_id,
    r.template_step_id,
    r.name,
    r.current_state,
    r.dependencies_satisfied,
    r.retry_eligible,
    r.ready_for_execution,
    r.last_failure_at,
    r.next_retry_at,
    r.total_parents,
    r.completed_parents,
    r.attempts,
    r.max_attempts,
    r.backoff_request_seconds,
    r.last_attempted_at
  from tasker._step_readiness(
    array[tasker._known_task(get_step_readiness_status.task_id)], get_step_readiness_status.step_ids) r
  order by r.step_index;
$$;
comment on function tasker.get_step_readiness_status(bigint, bigint[]) is
$$Readiness of a task's steps in template order, computed from the graph; step_ids limits it to those steps (ids of other tasks are left out).
dependencies_satisfied: every parent is complete, resolved_manually or skipped. retry_eligible: the step may be tried (again): true while it waits for a retry or is pending with attempts left; of a step in flight, whether a failure of this attempt could be retried; false in error and every other final state.
ready_for_execution: satisfied, eligible, due, not in flight, and the task goes on. A task that has not started yet shows the steps and ids that it will have; delayed by run_at, none is ready before that time.
Errors: 42704 when the task does not exist, 22004 when task_id is NULL.$$;
