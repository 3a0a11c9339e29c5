-- Sets the timers of attempts that begin: one for all that have the same number of seconds.
create or replace function tasker._time_attempts(
  kind text, step_ids bigint[], attempts integer[], seconds double precision[], at timestamptz)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
begin
  -- 10 us less than grouping.
  if _time_attempts.seconds[1] = all(_time_attempts.seconds) then
    insert into tasker.timers (fire_at, kind, step_ids, attempts)
    values (at + make_interval(secs => _time_attempts.seconds[1]), _time_attempts.kind, _time_attempts.step_ids,
      _time_attempts.attempts);
    return;
  end if;
  insert into tasker.timers (fire_at, kind, step_ids, attempts)
  select at + make_interval(secs => i.seconds), _time_attempts.kind, array_agg(i.step_id), array_agg(i.attempt)
  from unnest(_time_attempts.step_ids, _time_attempts.attempts, _time_attempts.seconds) i(step_id, attempt, seconds)
  group by i.seconds;
end $$;
