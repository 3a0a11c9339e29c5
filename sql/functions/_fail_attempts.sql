-- The failed ones among the outcomes: each gets a retry with a delay, or ends in error. Returns the tasks that may be
-- over. Retried is what the template and the worker both call retryable, while attempts are left and the task goes on. Of a cancelled task
-- nobody needs to be told that it failed, too.
create or replace function tasker._fail_attempts(outcomes tasker._outcome[], at timestamptz)
returns bigint[]
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  over  bigint[];
  ended bigint[];
begin
  with verdict as materialized (
    select o.step_id, o.attempt, o.from_state, o.error, o.metadata, s.attempts < s.max_attempts as has_more,
      t.state = 'cancelled' as unwanted, ts.name, ts.retryable and o.error ->> 'retryable' is distinct from 'false' and s.attempts < s.max_attempts
        and t.state = 'in_progress' and t.stopping is null as again,
      ts.backoff, ts.backoff_base_ms, ts.max_backoff_ms
    from unnest(outcomes) o
    join tasker.steps s on s.step_id = o.step_id
    join tasker.tasks t on t.task_id = s.task_id
    join tasker.template_steps ts on ts.template_step_id = s.template_step_id
    where not o.success
  ), delayed as materialized (
    select v.*, d.server_requested_seconds, at + make_interval(secs => d.delay_ms / 1000.0) as due
    from verdict v
    left join lateral tasker._retry_delay(v.attempt, v.backoff, v.backoff_base_ms,
      coalesce(v.max_backoff_ms, tasker._setting('max_backoff')::bigint * 1000), v.metadata::text,
      tasker._setting('max_server_delay')::bigint * 1000, at, random()) d on v.again
  ), failed as (
    update tasker.steps s
    set state = case when d.again then 'waiting_for_retry' else 'error' end,
      last_error = coalesce(d.error, '{"message": "the worker gave no reason"}'),
      last_failure_at = at,
      reported_at = coalesce(s.reported_at, at),
      reported_status = 'failure',
      next_retry_at = d.due,
      backoff_request_seconds = d.server_requested_seconds,
      finished_at = case when not d.again then at end
    from delayed d
    where s.step_id = d.step_id
    returning s.step_id, s.task_id, d.attempt, d.from_state, s.state, s.last_error, d.due, d.again, d.has_more, d.unwanted, d.name
  ), buried as (
    insert into tasker.dead_letters (task_id, step_id, reason, snapshot, created_at)
    select f.task_id, f.step_id, case when f.has_more then 'not_retryable' else 'retries_exhausted' end,
      jsonb_build_object('step_name', f.name, 'attempts', f.attempt, 'last_error', f.last_error), at
    from failed f
    where not f.again and not f.unwanted
  ), audited as (
    insert into tasker.step_transitions (step_id, created_at, attempt, from_state, to_state, actor, metadata)
    select f.step_id, at, f.attempt, f.from_state, f.state, session_user,
      jsonb_build_object('error', f.last_error, 'next_retry_at', f.due)
    from failed f
  ), timed as (
    insert into tasker.timers (fire_at, kind, step_ids, attempts)
    select f.due, 'retry', array_agg(f.step_id), array_agg(f.attempt)
    from failed f
    where f.again
    group by f.due
  ), counted as (
    update tasker.tasks t
    set active_steps = t.active_steps - e.errors, error_steps = t.error_steps + e.errors
    from (select f.task_id, count(*) as errors from failed f where not f.again group by f.task_id) e
    where t.task_id = e.task_id
    returning t.task_id, t.active_steps
  )
  select (select array_agg(c.task_id) from counted c where c.active_steps = 0),
    (select array_agg(f.step_id) from failed f where not f.again)
  into over, ended;
  if ended is not null then
    perform tasker._publish_step_ends(ended, at);
  end if;
  return over;
end $$;
