-- The part of explain_task about steps: in flight, waiting for a retry, in error, blocked.
create or replace function tasker._explain_steps(task tasker.tasks, at timestamptz)
returns table (subject text, fact text, advice text)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  first_id constant bigint := task.task_id << 16;
  queue    constant text := (
    select n.name || '_queue' from tasker.namespaces n where n.namespace_id = task.namespace_id);
  -- An error's message may hold data. Only for those who may read it in the table.
  in_full  constant boolean := has_table_privilege(tasker._caller(), 'tasker.steps', 'select');
  queued   bigint[];
  unread   bigint[];
begin
  select array_agg(m.step_id), array_agg(m.step_id) filter (where m.read_ct = 0)
  into queued, unread
  from (
    select array_agg(s.msg_id) as msg_ids, array_agg(s.step_id) as step_ids
    from tasker.steps s
    where s.step_id between first_id and first_id + 65535 and s.state = 'enqueued'
  ) s
  cross join lateral tasker._queued_messages(task.namespace_id, s.msg_ids, s.step_ids) m;

  return query
  select
    format('step %s (%s)', ts.name, s.step_id),
    case
      when s.reported_at is not null
        then format('attempt %s of %s has reported %s at %s; the engine has yet to settle it',
          s.attempts, s.max_attempts, s.reported_status, date_trunc('second', s.reported_at))
      when s.state = 'in_progress'
        then format('attempt %s of %s is with %s since %s; its lease ends at %s',
          s.attempts, s.max_attempts, coalesce('worker ' || s.worker_id, 'a worker'),
          date_trunc('second', s.started_at), date_trunc('second', coalesce(l.expires_at, t.fire_at)))
      when s.step_id = any(unread)
        then format('attempt %s of %s is in queue %s since %s; no worker has read it',
          s.attempts, s.max_attempts, queue, date_trunc('second', s.enqueued_at))
      when s.step_id = any(queued)
        then format('attempt %s of %s is in queue %s since %s; a worker has read it but neither deleted it nor reported',
          s.attempts, s.max_attempts, queue, date_trunc('second', s.enqueued_at))
      else format('attempt %s of %s was enqueued at %s and taken from queue %s; it is looked after at %s',
          s.attempts, s.max_attempts, date_trunc('second', s.enqueued_at), queue, date_trunc('second', t.fire_at))
    end,
    case
      when s.reported_at is null and s.state = 'enqueued' and s.step_id = any(unread)
        then format('Start a worker that takes from %s.', queue)
      when s.reported_at is null and t.fire_at is null
        then 'It has no timer, so a lost attempt would not be noticed: see SELECT * FROM tasker.check();'
    end
  from tasker.steps s
  join tasker.template_steps ts on ts.template_step_id = s.template_step_id
  left join tasker.leases l on l.step_id = s.step_id and l.attempt = s.attempts
  left join lateral (
    -- In a worker's hands the timer of its time in the queue may still be there: it will find nothing to do.
    select min(t.fire_at) as fire_at
    from tasker.timers t
    where (t.kind = 'lease') = (s.state = 'in_progress') and t.kind in ('queued', 'absent', 'lease')
      and t.attempts[array_position(t.step_ids, s.step_id)] = s.attempts
  ) t on true
  where s.step_id between first_id and first_id + 65535
    and s.state in ('enqueued', 'in_progress')
  order by s.step_id
  limit 20;

  return query
  select
    format('step %s (%s)', ts.name, s.step_id),
    format('attempt %s of %s failed at %s: %s; the next is due at %s%s',
      s.attempts, s.max_attempts, date_trunc('second', s.last_failure_at), tasker._shown_error(s.last_error, in_full),
      date_trunc('second', s.next_retry_at),
      case when s.backoff_request_seconds is not null then ', as the other side asked' end),
    null::text
  from tasker.steps s
  join tasker.template_steps ts on ts.template_step_id = s.template_step_id
  where s.step_id between first_id and first_id + 65535
    and s.state = 'waiting_for_retry'
  order by s.next_retry_at, s.step_id
  limit 20;

  return query
  select
    format('step %s (%s)', ts.name, s.step_id),
    format('is in error since %s, after attempt %s of %s: %s',
      date_trunc('second', s.finished_at), s.attempts, s.max_attempts, tasker._shown_error(s.last_error, in_full)),
    null::text
  from tasker.steps s
  join tasker.template_steps ts on ts.template_step_id = s.template_step_id
  where s.step_id between first_id and first_id + 65535
    and s.state = 'error'
  order by s.step_id
  limit 20;

  return query select * from tasker._explain_blocked(task);
end $$;
