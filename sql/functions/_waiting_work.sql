-- What waits, by namespace and priority, for all views that count it. Exact up to some 10,000 rows of waiting work. Beyond,
-- the long classes are estimated from a sample of 300 pages of the table, always the same ones, so that two looks at
-- the same rows say the same; estimated tells which. Oldest and newest are exact all the same; oldest_task_since is
-- that of the rows that were looked at where a long class begins with steps.
create or replace function tasker._waiting_work(at timestamptz)
returns table (
  namespace_id      bigint,
  priority          smallint,
  tasks             bigint,
  steps             bigint,
  claimed           bigint,
  set_aside         bigint,
  stale             bigint,
  computed_priority double precision,
  oldest_since      timestamptz,
  oldest_task_since timestamptz,
  newest_since      timestamptz,
  estimated         boolean
)
language sql stable security definer
set search_path = pg_catalog, pg_temp
set jit = off
as $$
  with head as materialized (
    select h.* from tasker._waiting_heads(10000, at) h
  ), share as materialized (
    select case when bool_or(h.capped)
      then least(100, 100 * 300 / greatest(pg_relation_size('tasker.waiting') / current_setting('block_size')::float8, 1))
      else 0 end as percent
    from head h
  ), sampled as (
    select w.namespace_id, w.template_id, w.priority, w.claimed_by is not null as held,
      count(*) filter (where w.step_id is null) as tasks,
      count(*) filter (where w.step_id is not null) as steps,
      count(*) filter (where w.fault is not null) as set_aside,
      count(*) filter (where w.claim_expires_at <= at) as stale,
      avg(tasker._computed_priority(w.priority, w.since, at)) as computed_priority,
      min(w.since) filter (where w.step_id is null) as oldest_task_since
    from tasker.waiting w tablesample system ((select s.percent from share s)) repeatable (0)
    group by 1, 2, 3, 4
  ), looked_at as (
    select h.*, 1::float8 as times from head h
    union all
    select s.namespace_id, s.template_id, s.priority, s.held, s.tasks, s.steps, s.set_aside, s.stale, s.computed_priority,
      null, s.oldest_task_since, null, null, 100 / share.percent
    from sampled s
    cross join share
  -- What the sample says counts only where the head is not all.
  ), class as (
    select
      l.namespace_id, l.priority, l.held,
      max(round(l.tasks * l.times)) as tasks,
      max(round(l.steps * l.times)) as steps,
      max(round(l.set_aside * l.times)) as set_aside,
      max(round(l.stale * l.times)) as stale,
      coalesce(max(l.computed_priority) filter (where l.capped is null), max(l.computed_priority)) as computed_priority,
      min(l.oldest_since) as oldest_since,
      min(l.oldest_task_since) as oldest_task_since,
      max(l.newest_since) as newest_since,
      bool_or(l.capped) and max(l.times) > 1 as estimated
    from (
      select l.*, bool_or(l.capped) over (partition by l.namespace_id, l.template_id, l.priority, l.held) as is_long
      from looked_at l
    ) l
    where l.capped is not null or l.is_long
    group by l.namespace_id, l.template_id, l.priority, l.held
  )
  select
    c.namespace_id, c.priority, sum(c.tasks)::bigint, sum(c.steps)::bigint,
    coalesce(sum(c.tasks + c.steps - c.set_aside) filter (where c.held), 0)::bigint,
    sum(c.set_aside)::bigint, sum(c.stale)::bigint,
    sum(c.computed_priority * (c.tasks + c.steps)) / sum(c.tasks + c.steps),
    min(c.oldest_since), min(c.oldest_task_since), max(c.newest_since), bool_or(c.estimated)
  from class c
  group by c.namespace_id, c.priority;
$$;
