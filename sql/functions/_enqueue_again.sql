-- Takes attempts in flight whose messages are gone for untried: they are enqueued again at once with the next number.
create or replace function tasker._enqueue_again(step_ids bigint[], at timestamptz)
returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  again bigint;
begin
  perform from tasker.tasks t
  where t.task_id = any(array(select distinct i >> 16 from unnest(_enqueue_again.step_ids) i))
  order by t.task_id
  for no key update;
  with held as materialized (
    select s.step_id
    from tasker.steps s
    where s.step_id = any(_enqueue_again.step_ids)
    order by s.step_id
    for no key update
  ), reopened as (
    update tasker.steps s
    set state = 'waiting_for_retry', next_retry_at = at, max_attempts = s.max_attempts + 1
    from held h
    where s.step_id = h.step_id and s.state = 'enqueued' and s.reported_at is null
    returning s.step_id, s.task_id, s.attempts
  ), audited as (
    insert into tasker.step_transitions (step_id, task_id, created_at, attempt, from_state, to_state, actor, metadata)
    select r.step_id, r.task_id, at, r.attempts, 'enqueued', 'waiting_for_retry', session_user, '{"reason": "reconciled"}'
    from reopened r
  ), landed as (
    insert into tasker.in_flight_deltas (namespace_id, template_id, delta)
    select t.namespace_id, t.template_id, -count(*)
    from reopened r
    join tasker.tasks t on t.task_id = r.task_id
    group by t.namespace_id, t.template_id
  ), timed as (
    insert into tasker.timers (fire_at, kind, step_ids, attempts)
    select at, 'retry', array_agg(r.step_id), array_agg(r.attempts)
    from reopened r
    having count(*) > 0
  )
  select count(*) into again from reopened r;
  return again;
end $$;
