-- Ends attempts that nobody has reported in time, as retryable failures. A lease never overtakes a report: the rows are
-- locked where reported_at is null, and a plain result that is in the queue by then, whose orchestrator or sender may
-- have committed just now, is looked for in the next statement, under a new snapshot.
create or replace function tasker._lose_attempts(pass tasker._pass, kind text, step_ids bigint[], attempts integer[], at timestamptz)
returns tasker._pass
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  task_ids  bigint[];
  held      bigint[];
  outcomes  tasker._outcome[];
  late      record;
  ended     record;
begin
  select array_agg(t.task_id) into task_ids
  from (
    select t.task_id
    from tasker.tasks t
    where t.task_id = any(array(select distinct i >> 16 from unnest(_lose_attempts.step_ids) i))
    order by t.task_id
    for no key update skip locked
  ) t;
  select array_agg(s.step_id) into held
  from (
    select s.step_id
    from tasker.steps s
    join unnest(_lose_attempts.step_ids, _lose_attempts.attempts) i(step_id, attempt) on i.step_id = s.step_id
    where s.task_id = any(task_ids) and s.attempts = i.attempt and s.reported_at is null
      and s.state in ('enqueued', 'in_progress')
    order by s.step_id
    for no key update of s skip locked
  ) s;

  select array_agg(
      row(s.step_id, s.attempts, s.state, t.namespace_id, t.template_id, false, null,
        jsonb_build_object('error_type', 'attempt_lost', 'retryable', true,
          'message', format('attempt %s was not reported in time', s.attempts)), null, null)::tasker._outcome
      order by s.step_id)
  into outcomes
  from tasker.steps s
  join tasker.tasks t on t.task_id = s.task_id
  where s.step_id = any(held)
    and to_jsonb(s.step_id) not in (
      select coalesce(q.message -> 'step_id', 'null') from pgmq.q_orchestration_step_results q);

  if outcomes is not null then
    select array_agg(s.step_id) as step_ids, array_agg(s.msg_id) as msg_ids into late
    from unnest(outcomes) o
    join tasker.steps s on s.step_id = o.step_id
    where s.msg_id is not null and o.from_state = 'enqueued';
    perform tasker._withdraw_messages(late.step_ids, late.msg_ids);
    ended := tasker._end_attempts(outcomes, at);
    pass.ready_in := null;
    pass.ready := pass.ready || ended.ready;
    pass.over := pass.over || ended.over;
  end if;

  -- Whatever is still unreported by then was locked by somebody, or its result is on its way.
  select array_agg(i.step_id) as step_ids, array_agg(i.attempt) as attempts into late
  from unnest(_lose_attempts.step_ids, _lose_attempts.attempts) i(step_id, attempt)
  where i.step_id not in (select o.step_id from unnest(outcomes) o);
  if late.step_ids is not null then
    pass := tasker._rearm(pass, _lose_attempts.kind, at + interval '50 milliseconds', late.step_ids, late.attempts);
  end if;
  return pass;
end $$;
