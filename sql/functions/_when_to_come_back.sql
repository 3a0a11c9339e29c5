-- Completes a pass with the time of the next one, as far as it is known now: the next timer, the next try of a namespace
-- that was set aside, the moment at which a message that was deferred, by this pass or one before, is visible again
-- (pgmq's clock, told in ours), or at which somebody should look for what looks have passed by.
create or replace function tasker._when_to_come_back(pass tasker._pass, at timestamptz)
returns tasker._pass
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  -- Not asked for in the query: an index condition it can be only when it is known, and the rows before it are many.
  now_there timestamptz;
begin
  pass.next_due_at := least(
    pass.next_due_at,
    tasker._first_timer(),
    tasker._first_retry_of_namespace(at),
    at + make_interval(secs => least(
      tasker._sweep_due('orchestration_step_results'), tasker._sweep_due('orchestration_task_requests')) / 1000.0));
  if tasker._any_hidden('orchestration_step_results') or tasker._any_hidden('orchestration_task_requests') then
    now_there := clock_timestamp();
    pass.next_due_at := least(pass.next_due_at, at + (
      -- A message may be hidden until the end of time ('infinity').
      select least(min(v.vt), now_there + interval '1 day') - now_there
      from (
        select min(q.vt) from pgmq.q_orchestration_step_results q where q.vt > now_there
        union all
        select min(q.vt) from pgmq.q_orchestration_task_requests q where q.vt > now_there
      ) v(vt)));
  end if;
  return pass;
end $$;
