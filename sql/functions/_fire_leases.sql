-- Attempts whose time is over. For an attempt taken with poll_steps the lease is the only claim. A plain message that
-- is still in its queue is not ours to time, unless it was read more often than the step may be tried; seen gone, its
-- time starts then. Most attempts have moved on by now: the first statement drops them without a lock.
create or replace function tasker._fire_leases(pass tasker._pass, due tasker.timers[], at timestamptz)
returns tasker._pass
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  attempt record;
begin
  for attempt in
    with running as materialized (
      select d.kind, s.step_id, s.attempts as number, s.msg_id, s.max_attempts, l.expires_at, t.namespace_id,
        make_interval(secs => coalesce(ts.timeout_seconds, tasker._setting('step_timeout')::integer)) as timeout
      from unnest(due) d
      cross join lateral unnest(d.step_ids, d.attempts) i(step_id, attempt)
      join tasker.steps s on s.step_id = i.step_id and s.attempts = i.attempt
      join tasker.tasks t on t.task_id = s.task_id
      join tasker.template_steps ts on ts.template_step_id = s.template_step_id
      left join tasker.leases l on l.step_id = s.step_id and l.attempt = s.attempts and l.expires_at > at
      where d.kind in ('queued', 'absent', 'lease') and s.reported_at is null
        and s.state = case d.kind when 'lease' then 'in_progress' else 'enqueued' end
    ), queued as (
      select m.step_id, m.read_ct
      from (
        select r.namespace_id, array_agg(r.msg_id) as msg_ids, array_agg(r.step_id) as step_ids
        from running r
        where r.kind = 'queued'
        group by r.namespace_id
      ) r
      cross join lateral tasker._queued_messages(r.namespace_id, r.msg_ids, r.step_ids) m
    ), judged as (
      select r.*,
        case
          when r.expires_at is not null then 'extended'
          when r.kind <> 'queued' then 'lost'
          when q.step_id is null then 'absent'
          when q.read_ct > r.max_attempts then 'lost'
          else 'queued'
        end as verdict
      from running r
      left join queued q on q.step_id = r.step_id
    )
    select j.verdict, case j.verdict when 'absent' then 'absent' else j.kind end as kind,
      case j.verdict when 'extended' then j.expires_at else at + j.timeout end as fire_at,
      array_agg(j.step_id order by j.step_id) as step_ids, array_agg(j.number order by j.step_id) as numbers
    from judged j
    group by 1, 2, 3
    order by 1, 2, 3
  loop
    if attempt.verdict = 'lost' then
      pass := tasker._lose_attempts(pass, attempt.kind, attempt.step_ids, attempt.numbers, at);
    else
      pass := tasker._rearm(pass, attempt.kind, attempt.fire_at, attempt.step_ids, attempt.numbers);
    end if;
  end loop;

  -- Nobody asks again for the leases of attempts that are over; one that a heartbeat holds locked may stay.
  delete from tasker.leases l
  where (l.step_id, l.attempt) in (
    select h.step_id, h.attempt
    from unnest(due) d
    cross join lateral unnest(d.step_ids, d.attempts) i(step_id, attempt)
    join tasker.leases h on h.step_id = i.step_id and h.attempt = i.attempt
    where d.kind in ('queued', 'absent', 'lease')
      and (h.expires_at <= at or not exists (
        select from tasker.steps s
        where s.step_id = h.step_id and s.attempts = h.attempt and s.state in ('enqueued', 'in_progress')
          and s.reported_at is null))
    for update of h skip locked);
  return pass;
end $$;
