-- Completes a pass with the time of the next one, as far as it is known now: the next timer, the next try of a namespace that was set aside, or the moment at which a
-- message that was deferred, by this pass or one before, is visible again (pgmq's clock, told in ours).
create or replace function tasker._when_to_come_back(pass tasker._pass, at timestamptz)
returns tasker._pass
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
begin
  pass.next_due_at := least(
    pass.next_due_at,
    (select min(t.fire_at) from tasker.timers t),
    (select min(n.fault_until) from tasker.namespaces n where n.fault_until > at),
    at + (
      select min(v.vt) - clock_timestamp()
      from (
        select min(q.vt) from pgmq.q_orchestration_step_results q where q.vt > clock_timestamp()
        union all
        select min(q.vt) from pgmq.q_orchestration_task_requests q where q.vt > clock_timestamp()
      ) v(vt)));
  return pass;
end $$;
