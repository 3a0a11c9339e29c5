-- Hands attempts in flight back untried: they are enqueued again at once, with the next number. Only those that are in
-- from_state, not reported, and, where attempts are given, of that number. Returns their steps. An attempt number is never
-- used twice, so the try that was not one is made up for in max_attempts.
create or replace function tasker._hand_back(step_ids bigint[], attempts integer[], from_state text, reason text, at timestamptz)
returns bigint[]
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  held   bigint[];
  handed bigint[];
begin
  select array_agg(s.step_id) into held
  from (
    select s.step_id
    from tasker.steps s
    where s.step_id = any(_hand_back.step_ids) and s.state = _hand_back.from_state
    order by s.step_id
    for no key update
  ) s;

  with handed as (
    update tasker.steps s
    set state = 'waiting_for_retry', next_retry_at = at, max_attempts = s.max_attempts + 1
    from unnest(_hand_back.step_ids, _hand_back.attempts) i(step_id, attempt)
    where s.step_id = i.step_id and s.step_id = any(held) and s.attempts = coalesce(i.attempt, s.attempts)
      and s.state = _hand_back.from_state and s.reported_at is null
    returning s.step_id, s.task_id, s.attempts
  ), audited as (
    insert into tasker.step_transitions (step_id, created_at, attempt, from_state, to_state, actor, metadata)
    select h.step_id, at, h.attempts, _hand_back.from_state, 'waiting_for_retry', session_user,
      jsonb_build_object('reason', _hand_back.reason)
    from handed h
  ), timed as (
    insert into tasker.timers (fire_at, kind, step_ids, attempts)
    select at, 'retry', array_agg(h.step_id), array_agg(h.attempts)
    from handed h
    having count(*) > 0
  )
  select array_agg(h.step_id) into handed from handed h;
  perform tasker._landed(handed);
  return handed;
end $$;
