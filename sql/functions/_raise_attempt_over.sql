-- Says why an attempt cannot be reported: TK002 when it was cancelled, TK001 when it is over or superseded.
create or replace function tasker._raise_attempt_over(step_id bigint, attempt integer)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  step record;
begin
  if _raise_attempt_over.step_id is null or _raise_attempt_over.attempt is null then
    raise exception using errcode = 'null_value_not_allowed', message = 'step_id and attempt must not be NULL',
      hint = 'Both are in the step message.';
  end if;
  select s.state, s.attempts, s.reported_at into step
  from tasker.steps s
  where s.step_id = _raise_attempt_over.step_id;
  if not found then
    raise exception using errcode = 'undefined_object',
      message = format('step %s does not exist', _raise_attempt_over.step_id);
  end if;
  if step.state = 'cancelled' and step.attempts = _raise_attempt_over.attempt then
    raise exception using errcode = 'TK002',
      message = format('attempt %s of step %s was cancelled', _raise_attempt_over.attempt, _raise_attempt_over.step_id),
      hint = 'Roll back and drop the message.';
  end if;
  raise exception using errcode = 'TK001',
    message = format('attempt %s of step %s is over or superseded', _raise_attempt_over.attempt, _raise_attempt_over.step_id),
    detail = format('The step is %s%s, its latest attempt is %s.', step.state,
      case when step.reported_at is not null and step.state in ('enqueued', 'in_progress') then ' and reported' else '' end, step.attempts),
    hint = 'Roll back and drop the message: somebody else has done this work, or will.';
end $$;
