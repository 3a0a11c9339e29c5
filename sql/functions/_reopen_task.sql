-- Brings a task back to work: the steps named are tried once more, and, where the task had stopped (fail_fast,
-- deadline), the steps that were cancelled with it are pending again. The caller holds the task locked.
create or replace function tasker._reopen_task(task_id bigint, step_ids bigint[], reason text, at timestamptz)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  task  record;
  again record;
  ready bigint[];
begin
  select t.state, t.stopping, t.template_id, tt.max_duration,
    least(tt.max_waiting_for_dependencies, tt.max_waiting_for_retry, tt.max_steps_in_process) as stuck_after
  into task
  from tasker.tasks t
  join tasker.task_templates tt on tt.template_id = t.template_id
  where t.task_id = _reopen_task.task_id;

  -- Attempt numbers are never used twice: another try needs another max_attempts.
  with before as materialized (
    select s.step_id, s.state, s.attempts
    from tasker.steps s
    where s.step_id between _reopen_task.task_id << 16 and (_reopen_task.task_id << 16) + 65535
      and (s.step_id = any(_reopen_task.step_ids) and s.state = 'error' or task.stopping is not null and s.state = 'cancelled')
    order by s.step_id
    for no key update
  ), reopened as (
    update tasker.steps s
    set state = case when b.attempts > 0 then 'waiting_for_retry' else 'pending' end,
      next_retry_at = case when b.attempts > 0 then at end,
      max_attempts = case when b.attempts > 0 then greatest(s.max_attempts, s.attempts) + 1 else s.max_attempts end,
      remaining_parents = tasker._open_parents(s.step_id, task.template_id),
      finished_at = null, reported_at = null, reported_status = null
    from before b
    where s.step_id = b.step_id
    returning s.step_id, s.attempts, s.state, s.remaining_parents, b.state as from_state
  ), audited as (
    insert into tasker.step_transitions (step_id, created_at, attempt, from_state, to_state, actor, metadata)
    select r.step_id, at, r.attempts, r.from_state, r.state, session_user,
      jsonb_build_object('reason', _reopen_task.reason)
    from reopened r
  )
  select array_agg(r.step_id) filter (where r.state = 'waiting_for_retry') as step_ids,
    array_agg(r.attempts) filter (where r.state = 'waiting_for_retry') as attempts
  into again
  from reopened r;

  if again.step_ids is not null then
    insert into tasker.timers (fire_at, kind, step_ids, attempts) values (at, 'retry', again.step_ids, again.attempts);
  end if;

  with counted as (
    update tasker.tasks t
    set state = 'in_progress', finished_at = null, stopping = null, active_steps = c.active, error_steps = c.errors
    from (
      select
        count(*) filter (where s.state in ('enqueued', 'in_progress', 'waiting_for_retry')
          or s.state = 'pending' and s.remaining_parents = 0) as active,
        count(*) filter (where s.state = 'error') as errors
      from tasker.steps s
      where s.step_id between _reopen_task.task_id << 16 and (_reopen_task.task_id << 16) + 65535
    ) c
    where t.task_id = _reopen_task.task_id
  )
  insert into tasker.task_transitions (task_id, created_at, from_state, to_state, actor, metadata)
  select _reopen_task.task_id, at, task.state, 'in_progress', session_user, jsonb_build_object('reason', _reopen_task.reason)
  where task.state <> 'in_progress' or task.stopping is not null;

  update tasker.dead_letters d
  set resolved_at = at, resolution = 'retried', notes = _reopen_task.reason, resolved_by = session_user
  where d.task_id = _reopen_task.task_id and d.resolved_at is null
    and (d.step_id = any(_reopen_task.step_ids) or d.step_id is null);

  if task.state <> 'in_progress' or task.stopping is not null then
    delete from tasker.timers i
    where i.ctid in (
      select l.ctid
      from tasker.timers l
      where l.kind in ('deadline', 'stuck') and l.task_id = _reopen_task.task_id
      for update skip locked);
    insert into tasker.timers (fire_at, kind, task_id)
    select at + i.after, i.kind, _reopen_task.task_id
    from (values ('deadline', task.max_duration), ('stuck', task.stuck_after)) i(kind, after)
    where i.after is not null;
  end if;
  -- Also those that somebody held when the task stopped: they were not cancelled, and nothing stands for them any more.
  select array_agg(s.step_id) into ready
  from tasker.steps s
  where s.step_id between _reopen_task.task_id << 16 and (_reopen_task.task_id << 16) + 65535
    and s.state = 'pending' and s.remaining_parents = 0
    and not exists (select from tasker.waiting w where w.task_id = s.task_id and w.step_id = s.step_id);
  if ready is not null then
    perform tasker._park(ready, at);
  end if;
  perform tasker._wake();
end $$;
