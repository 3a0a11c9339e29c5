create or replace function tasker.release_steps(step_ids bigint[], attempts integer[])
returns integer
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
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

  released := coalesce(cardinality(
    tasker._hand_back(release_steps.step_ids, release_steps.attempts, 'in_progress', 'released', tasker.clock())), 0);
  if released > 0 then
    perform tasker._wake();
  end if;
  return released;
end $$;
comment on function tasker.release_steps is
  'Gives attempts taken with poll_steps back untried: they are enqueued again at once, with the next attempt number and without using up max_attempts. For a worker that is told to end. Returns how many were released; those that are over, cancelled or superseded are left.';
