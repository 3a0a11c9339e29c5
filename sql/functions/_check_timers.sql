-- The part of check() about timers: an attempt that is out and unreported, and one that is due later, must have one.
create or replace function tasker._check_timers()
returns table (subject text, id bigint, expected text, found text)
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  with timed as (
    select i.kind, a.step_id, a.attempt
    from tasker.timers i
    cross join lateral unnest(i.step_ids, i.attempts) a(step_id, attempt)
  )
  select 'step waiting for a retry', s.step_id, 'a retry timer or a waiting row', 'none'
  from tasker.steps s
  where s.state = 'waiting_for_retry'
    and not exists (
      select from timed i
      where i.kind = 'retry' and i.step_id = s.step_id and i.attempt = s.attempts)
    and not exists (select from tasker.waiting w where w.task_id = s.task_id and w.step_id = s.step_id)

  union all
  select 'task that may get stuck', t.task_id, 'a stuck timer', 'none'
  from tasker.tasks t
  join tasker.task_templates tt on tt.template_id = t.template_id
  where t.state = 'in_progress' and t.stopping is null
    and coalesce(tt.max_waiting_for_dependencies, tt.max_waiting_for_retry, tt.max_steps_in_process) is not null
    and not exists (select from tasker.timers i where i.kind = 'stuck' and i.task_id = t.task_id)

  union all
  select format('step %s', s.state), s.step_id, format('a timer for attempt %s', s.attempts), 'none'
  from tasker.steps s
  where s.state in ('enqueued', 'in_progress')
    and s.reported_at is null
    and not exists (
      select from timed i
      where i.kind = any(case s.state when 'enqueued' then array['queued', 'absent'] else array['lease'] end)
        and i.step_id = s.step_id and i.attempt = s.attempts);
$$;
