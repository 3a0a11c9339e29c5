-- Phase 3: timers that are due. Whatever of them is locked by somebody gets a new timer 50 ms later.
create or replace function tasker._fire(pass tasker._pass, at timestamptz, only_timer_id bigint default null)
returns tasker._pass
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  -- One timer may stand for a batch of attempts, so that this many are thousands of steps.
  most    constant integer := 100;
  due     tasker.timers[];
  kinds   text[];
  expired record;
begin
  with due as (
    select t.timer_id
    from tasker.timers t
    where t.fire_at <= at and (only_timer_id is null or t.timer_id = only_timer_id)
    order by t.fire_at
    limit most
    for update skip locked
  ), fired as (
    delete from tasker.timers t using due d where t.timer_id = d.timer_id returning t
  )
  select array_agg(f.t order by (f.t).fire_at, (f.t).timer_id), array_agg(distinct (f.t).kind) into due, kinds from fired f;

  if due is null then
    return pass;
  end if;
  pass.fired := pass.fired + cardinality(due);
  pass.more := pass.more or cardinality(due) = most;
  if kinds && array['deadline', 'stuck', 'retry'] then
    pass.ready_in := null;
  end if;

  if 'start' = any(kinds) then
    pass := tasker._fire_starts(pass, array(select d.task_id from unnest(due) d where d.kind = 'start'), at);
  end if;
  if 'deadline' = any(kinds) then
    pass := tasker._fire_deadlines(pass, array(select d.task_id from unnest(due) d where d.kind = 'deadline'), at);
  end if;
  if 'stuck' = any(kinds) then
    pass := tasker._fire_stuck(pass, array(select distinct d.task_id from unnest(due) d where d.kind = 'stuck'), at);
  end if;
  if 'claim' = any(kinds) then
    pass := tasker._fire_claims(pass, array(select d.task_id from unnest(due) d where d.kind = 'claim'), at);
  end if;
  if 'finish' = any(kinds) then
    pass := tasker._fire_finishes(pass, array(select d.task_id from unnest(due) d where d.kind = 'finish'), at);
  end if;
  if 'retry' = any(kinds) then
    pass := tasker._fire_retries(pass, due, at);
  end if;
  if kinds && array['queued', 'absent', 'lease'] then
    pass := tasker._fire_leases(pass, due, at);
  end if;
  return pass;
end $$;
