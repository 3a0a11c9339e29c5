-- Waiting work by class: namespace, template, priority, and whether it is held (claimed from outside, or set aside). Of each
-- class the first rows are counted, in all about `wanted`, at least 100 of each; capped says that more come behind. First
-- and last come from the ends of the class in its index, so they are exact however many wait in between.
create or replace function tasker._waiting_heads(wanted integer, at timestamptz)
returns table (
  namespace_id      bigint,
  template_id       bigint,
  priority          smallint,
  held              boolean,
  tasks             bigint,
  steps             bigint,
  set_aside         bigint,
  stale             bigint,
  computed_priority double precision,
  oldest_since      timestamptz,
  oldest_task_since timestamptz,
  newest_since      timestamptz,
  capped            boolean
)
language sql stable
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
  with recursive free as (
    (select w.namespace_id, w.template_id, w.priority
     from tasker.waiting w
     where w.claimed_by is null
     order by w.namespace_id, w.template_id, w.priority
     limit 1)
    union all
    select n.namespace_id, n.template_id, n.priority
    from free c
    cross join lateral (
      select w.namespace_id, w.template_id, w.priority
      from tasker.waiting w
      where w.claimed_by is null
        and (w.namespace_id, w.template_id, w.priority) > (c.namespace_id, c.template_id, c.priority)
      order by w.namespace_id, w.template_id, w.priority
      limit 1) n
  ), held as (
    (select w.namespace_id, w.template_id, w.priority
     from tasker.waiting w
     where w.claimed_by is not null
     order by w.namespace_id, w.template_id, w.priority
     limit 1)
    union all
    select n.namespace_id, n.template_id, n.priority
    from held c
    cross join lateral (
      select w.namespace_id, w.template_id, w.priority
      from tasker.waiting w
      where w.claimed_by is not null
        and (w.namespace_id, w.template_id, w.priority) > (c.namespace_id, c.template_id, c.priority)
      order by w.namespace_id, w.template_id, w.priority
      limit 1) n
  ), class as (
    select c.*, false as held from free c
    union all
    select c.*, true from held c
  ), share as materialized (
    select greatest(_waiting_heads.wanted / greatest(count(*), 1), 100) as most from class c
  )
  select c.namespace_id, c.template_id, c.priority, c.held, h.*
  from share s
  cross join class c
  cross join lateral tasker._waiting_head(c.namespace_id, c.template_id, c.priority, c.held, s.most, at) h;
$$;
