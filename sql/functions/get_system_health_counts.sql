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
  running_orchestrators bigint
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
      count(*) filter (where w.step_id is null) as tasks,
      count(*) filter (where w.step_id is not null) as steps,
      count(*) filter (where w.fault is not null) as set_aside,
      count(*) filter (where w.claimed_by is not null and w.fault is null) as claimed,
      count(*) filter (where w.claimed_by is not null and w.claim_expires_at < now.at) as stale,
      min(w.since) as oldest_since
    from tasker.waiting w
    cross join now
  ), timer_counts as (
    select
      count(*) as total,
      count(*) filter (where t.fire_at <= now.at) as due,
      min(t.fire_at) as next_at
    from tasker.timers t
    cross join now
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
    t.total,
    t.due,
    t.next_at,
    (select count(*) from tasker.rejected_messages),
    (select count(*)
     from tasker._orchestrator_slots() o
     where o.database = (select d.oid from pg_database d where d.datname = current_database()))
  from namespace_counts n, waiting_counts w, timer_counts t;
$$;
comment on function tasker.get_system_health_counts() is
$$The state of the whole in one row, cheap enough to poll: it reads what waits, is in flight or is due, not what is over.
faulty_namespaces: set aside because nothing could be enqueued there; templates: those not retired; waiting_tasks: not started, not delayed; waiting_steps: ready without room; set_aside: waiting work that could not be enqueued, with its fault; claimed: held by orchestrators outside; stale_claims: held beyond their time;
in_flight_steps: enqueued or in progress; timers: delayed starts, retries, leases and deadlines (one may stand for many steps); running_orchestrators: background workers of this database. Queue depths stand in tasker.queue_status.$$;
