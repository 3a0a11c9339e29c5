create or replace function tasker.get_system_health_counts()
returns table (
  namespaces            bigint,
  paused_namespaces     bigint,
  faulty_namespaces     bigint,
  templates             bigint,
  waiting_tasks         bigint,
  waiting_steps         bigint,
  set_aside             bigint,
  claimed               bigint,
  stale_claims          bigint,
  oldest_waiting_since  timestamptz,
  in_flight_steps       bigint,
  timers                bigint,
  timers_due            bigint,
  next_timer_at         timestamptz,
  rejected_messages     bigint,
  running_orchestrators bigint,
  estimated             boolean
)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  with now as materialized (
    select tasker.clock() as at
  ), namespace_counts as (
    select
      count(*) as total,
      count(*) filter (where n.paused) as paused,
      count(*) filter (where n.fault_until > now.at) as faulty
    from tasker.namespaces n
    cross join now
  ), waiting_counts as (
    select
      coalesce(sum(w.tasks), 0)::bigint as tasks,
      coalesce(sum(w.steps), 0)::bigint as steps,
      coalesce(sum(w.set_aside), 0)::bigint as set_aside,
      coalesce(sum(w.claimed), 0)::bigint as claimed,
      coalesce(sum(w.stale), 0)::bigint as stale,
      min(w.oldest_since) as oldest_since,
      coalesce(bool_or(w.estimated), false) as estimated
    from now
    cross join lateral tasker._waiting_work(now.at) w
  ), timer_counts as (
    select
      (select count(*) from (select from tasker.timers t where t.fire_at <= now.at order by t.fire_at limit 10000) d) as due,
      (select min(t.fire_at) from tasker.timers t) as next_at
    from now
  )
  select
    n.total,
    n.paused,
    n.faulty,
    (select count(*) from tasker.task_templates tt where tt.retired_at is null),
    w.tasks,
    w.steps,
    w.set_aside,
    w.claimed,
    w.stale,
    w.oldest_since,
    (select coalesce(sum(f.delta), 0)::bigint from tasker.in_flight_deltas f),
    timers.rows,
    t.due,
    t.next_at,
    rejected.rows,
    (select count(*)
     from tasker._orchestrator_slots() o
     where o.database = (select d.oid from pg_database d where d.datname = current_database())),
    w.estimated or timers.estimated or rejected.estimated
  from namespace_counts n
  cross join waiting_counts w
  cross join timer_counts t
  cross join tasker._row_count('tasker.timers') timers
  cross join tasker._row_count('tasker.rejected_messages') rejected;
$$;
comment on function tasker.get_system_health_counts() is
$$The state of the whole in one row, cheap enough to poll: it reads what waits, is in flight or is due, not what is over.
faulty_namespaces: set aside because nothing could be enqueued there; templates: those not retired; waiting_tasks: not started, not delayed; waiting_steps: ready without room; set_aside: waiting work that could not be enqueued, with its fault; claimed: held by orchestrators outside; stale_claims: held beyond their time;
in_flight_steps: enqueued or in progress; timers: delayed starts, retries, leases and deadlines (one may stand for many steps); running_orchestrators: background workers of this database; estimated: whether some of the numbers are estimates from a sample, as they are beyond some 10,000 rows (of timers_due no more than 10,000 are counted). Queue depths stand in tasker.queue_status.$$;
