create or replace function tasker.release_steps(step_ids bigint[], attempts integer[])
returns integer
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  at       constant timestamptz := tasker.clock();
  released integer;
begin
  if tasker._is_limited('{worker}') then
    perform tasker._check_tasks('{worker}', array(select distinct i >> 16 from unnest(release_steps.step_ids) i));
  end if;
  if cardinality(release_steps.step_ids) is distinct from cardinality(release_steps.attempts) then
    raise exception using errcode = 'invalid_parameter_value',
      message = format('there are %s step_ids and %s attempts', cardinality(release_steps.step_ids), cardinality(release_steps.attempts));
  end if;
  if cardinality(release_steps.step_ids) > 10000 then
    raise exception using errcode = 'invalid_parameter_value', message = 'step_ids must be at most 10000',
      detail = format('There are %s.', cardinality(release_steps.step_ids)), hint = 'Release them in several calls.';
  end if;

  -- An attempt number is never used twice, so the try that was not one is made up for in max_attempts.
  with held as materialized (
    select s.step_id
    from tasker.steps s
    where s.step_id = any(release_steps.step_ids) and s.state = 'in_progress'
    order by s.step_id
    for no key update
  ), released as (
    update tasker.steps s
    set state = 'waiting_for_retry', next_retry_at = at, max_attempts = s.max_attempts + 1
    from unnest(release_steps.step_ids, release_steps.attempts) i(step_id, attempt)
    join held h on h.step_id = i.step_id
    where s.step_id = i.step_id and s.attempts = i.attempt and s.state = 'in_progress' and s.reported_at is null
    returning s.step_id, s.task_id, s.attempts
  ), audited as (
    insert into tasker.step_transitions (step_id, task_id, created_at, attempt, from_state, to_state, actor, metadata)
    select r.step_id, r.task_id, at, r.attempts, 'in_progress', 'waiting_for_retry', session_user, '{"reason": "released"}'
    from released r
  ), landed as (
    insert into tasker.in_flight_deltas (namespace_id, template_id, delta)
    select t.namespace_id, t.template_id, -count(*)
    from released r
    join tasker.tasks t on t.task_id = r.task_id
    group by t.namespace_id, t.template_id
  ), timed as (
    insert into tasker.timers (fire_at, kind, step_ids, attempts)
    select at, 'retry', array_agg(r.step_id), array_agg(r.attempts)
    from released r
    having count(*) > 0
  )
  select count(*) into released from released r;
  if released > 0 then
    perform tasker._wake();
  end if;
  return released;
end $$;
comment on function tasker.release_steps is
  'Gives attempts taken with poll_steps back untried: they are enqueued again at once, with the next attempt number and without using up max_attempts. For a worker that is told to end. Returns how many were released; those that are over, cancelled or superseded are left.';
