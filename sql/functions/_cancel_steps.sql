-- Cancels the steps of tasks that the caller holds locked, all but those already reported: these settle by their
-- report. Returns the tasks with nothing active left. The engine calls it with wait = false and leaves steps that
-- somebody has locked; people's calls wait for them.
create or replace function tasker._cancel_steps(task_ids bigint[], reason text, at timestamptz, wait boolean)
returns bigint[]
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  step_ids bigint[];
  gone     record;
  over     bigint[];
begin
  if wait then
    select array_agg(s.step_id) into step_ids
    from (
      select s.step_id
      from unnest(_cancel_steps.task_ids) i(task_id)
      join tasker.steps s on s.step_id between i.task_id << 16 and (i.task_id << 16) + 65535
      where s.state in ('pending', 'enqueued', 'in_progress', 'waiting_for_retry')
      order by s.step_id
      for no key update of s
    ) s;
  else
    select array_agg(s.step_id) into step_ids
    from (
      select s.step_id
      from unnest(_cancel_steps.task_ids) i(task_id)
      join tasker.steps s on s.step_id between i.task_id << 16 and (i.task_id << 16) + 65535
      where s.state in ('pending', 'enqueued', 'in_progress', 'waiting_for_retry')
      order by s.step_id
      for no key update of s skip locked
    ) s;
  end if;

  -- A new statement, hence a new snapshot: a report that committed while we waited counts.
  with before as materialized (
    select s.step_id, s.state
    from tasker.steps s
    where s.step_id = any(step_ids) and s.reported_at is null
      and s.state in ('pending', 'enqueued', 'in_progress')
       or s.step_id = any(step_ids) and s.state = 'waiting_for_retry'
  ), cancelled as (
    update tasker.steps s
    set state = 'cancelled', finished_at = at, next_retry_at = null
    from before b
    where s.step_id = b.step_id
    returning s.step_id, s.task_id, s.attempts, s.msg_id, b.state as from_state
  ), audited as (
    insert into tasker.step_transitions (step_id, created_at, attempt, from_state, to_state, actor, metadata)
    select c.step_id, at, c.attempts, c.from_state, 'cancelled', session_user,
      jsonb_build_object('reason', _cancel_steps.reason)
    from cancelled c
  ), unparked as (
    delete from tasker.waiting w
    where w.ctid in (
      select l.ctid from tasker.waiting l where l.task_id = any(_cancel_steps.task_ids) for update skip locked)
  )
  select array_agg(c.step_id) filter (where c.from_state = 'enqueued') as step_ids,
    array_agg(c.msg_id) filter (where c.from_state = 'enqueued') as msg_ids,
    array_agg(c.step_id) filter (where c.from_state in ('enqueued', 'in_progress')) as landed_ids
  into gone
  from cancelled c;

  perform tasker._landed(gone.landed_ids);
  perform tasker._withdraw_messages(gone.step_ids, gone.msg_ids);

  -- A step that is not in flight and was locked by somebody is looked at again: no report will end it.
  insert into tasker.timers (fire_at, kind, step_ids, attempts)
  select at + interval '50 milliseconds', 'retry', array_agg(s.step_id), array_agg(s.attempts)
  from unnest(_cancel_steps.task_ids) i(task_id)
  join tasker.steps s on s.step_id between i.task_id << 16 and (i.task_id << 16) + 65535
  where s.state in ('pending', 'waiting_for_retry')
  having count(*) > 0;

  with counted as (
    update tasker.tasks t
    set active_steps = (
      select count(*)
      from tasker.steps s
      where s.step_id between t.task_id << 16 and (t.task_id << 16) + 65535
        and s.state in ('enqueued', 'in_progress', 'waiting_for_retry'))
    where t.task_id = any(_cancel_steps.task_ids)
    returning t.task_id, t.active_steps
  )
  select array_agg(c.task_id) into over from counted c where c.active_steps = 0;
  return over;
end $$;
