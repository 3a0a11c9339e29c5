-- Of tasks that go on and whose templates say how long they may make no progress: what each waits for (as the template's
-- field is called), since when, how long it may, and whether it has waited for so long. Computed from the rows of the
-- tasks at hand, since no step and no task pays for it in between.
--
-- A wait that has a due time is none of that: a retry to come, an attempt at a worker (its lease ends, or a plain
-- worker's vt), a report on its way, an outside claim. While there is one the task is not stuck, and look_at says when
-- to look again. Nor is what waits for room in a namespace that is paused, or was until just now.
create or replace function tasker._progress(task_ids bigint[], at timestamptz)
returns table (
  task_id bigint, waiting_for text, since timestamptz, threshold interval, stuck boolean, look_at timestamptz,
  fails_when_stuck boolean)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
begin
  return query
  with stepped as materialized (
    select t.task_id, t.namespace_id, tt.fails_when_stuck, n.paused, n.resumed_at,
      least(tt.max_waiting_for_dependencies, tt.max_waiting_for_retry, tt.max_steps_in_process) as shortest,
      case
        when s.in_flight > 0 then 'steps_in_process'
        when s.retry_at is not null then 'waiting_for_retry'
        else 'waiting_for_dependencies'
      end as waiting_for,
      case
        when s.in_flight > 0 then tt.max_steps_in_process
        when s.retry_at is not null then tt.max_waiting_for_retry
        else tt.max_waiting_for_dependencies
      end as threshold,
      -- With a time of their own: at a worker, reported, to be tried again.
      coalesce(s.has_due or s.retry_at > at, false)
        or exists (select from tasker.claims c where c.task_id = t.task_id and c.expires_at > at) as has_due,
      greatest(s.moved_at, s.retry_at, t.started_at,
        (select max(tr.created_at) from tasker.task_transitions tr where tr.task_id = t.task_id)) as moved_at,
      s.msg_ids, s.step_ids
    from tasker.tasks t
    join tasker.task_templates tt on tt.template_id = t.template_id
    join tasker.namespaces n on n.namespace_id = t.namespace_id
    cross join lateral (
      select count(*) filter (where s.state in ('enqueued', 'in_progress')) as in_flight,
        bool_or(s.state = 'in_progress' or s.state = 'enqueued' and s.reported_at is not null) as has_due,
        max(s.next_retry_at) as retry_at,
        max(greatest(s.enqueued_at, s.started_at, s.reported_at, s.finished_at, s.last_failure_at)) as moved_at,
        array_agg(s.msg_id) filter (where s.state = 'enqueued') as msg_ids,
        array_agg(s.step_id) filter (where s.state = 'enqueued') as step_ids
      from tasker.steps s
      where s.step_id between t.task_id << 16 and (t.task_id << 16) + 65535
      offset 0) s
    where t.task_id = any(_progress.task_ids) and t.state = 'in_progress' and t.stopping is null and t.active_steps > 0
      and coalesce(tt.max_waiting_for_dependencies, tt.max_waiting_for_retry, tt.max_steps_in_process) is not null
  ), suspected as materialized (
    select p.*, p.waiting_for = 'steps_in_process' and not p.has_due and coalesce(p.moved_at + p.threshold <= at, false) as suspect
    from stepped p
  ), unread as (
    -- Only of those that may be stuck: are all messages in the queue, and taken by nobody?
    select p.*, coalesce(q.has_due, false) as at_worker, q.visible_at
    from suspected p
    left join lateral (
      select p.suspect and (count(*) < cardinality(p.msg_ids) or bool_or(m.read_ct > 0 and m.vt > clock_timestamp())) as has_due,
        -- pgmq's clock, told in ours.
        at - (clock_timestamp() - max(m.vt) filter (where m.read_ct > 0 and isfinite(m.vt))) as visible_at
      -- Here and not in the join's condition: the function would be called first.
      from tasker._queued_messages(p.namespace_id, case when p.suspect then p.msg_ids end, p.step_ids) m
      offset 0) q on true
  ), judged as (
    select u.*,
      greatest(u.moved_at, u.visible_at, case when u.waiting_for <> 'steps_in_process' then u.resumed_at end) as since_at,
      u.has_due or u.at_worker or (u.paused and u.waiting_for <> 'steps_in_process') or u.threshold is null as excused
    from unread u
  )
  select j.task_id, j.waiting_for, j.since_at, j.threshold, not j.excused and j.since_at + j.threshold <= at,
    case when j.excused or j.since_at + j.threshold <= at then at + j.shortest else j.since_at + j.threshold end,
    j.fails_when_stuck
  from judged j;
end $$;
