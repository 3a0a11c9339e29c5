-- The first `wanted` of what waits in a namespace and of the steps that became ready just now, in order of computed
-- priority. Waiting rows are deleted, their tasks and steps locked. Returns steps and tasks to start, the ready steps
-- that were passed over, how many rows were missed because somebody holds them, their task or their step locked, and
-- whether that was all.
--
-- Every (template, priority) has its own order in the index, and within it the oldest comes first; so the first
-- `wanted + skipped` of each hold the answer, fewer of a template that has less room (templates, rooms). The cost does
-- not depend on how many rows wait behind them.
create or replace function tasker._claim_waiting(
  namespace_id bigint, ready bigint[], wanted bigint, skipped bigint, templates bigint[], rooms bigint[],
  at timestamptz, only_task_id bigint,
  out step_ids bigint[], out task_ids bigint[], out passed_over bigint[], out missed bigint, out exhausted boolean)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  row_ids    tid[];
  held_rows  tid[];
  row_tasks  bigint[];
  row_steps  bigint[];
  held       bigint[];
  held_steps bigint[];
  ready_ids  bigint[];
  considered bigint;
begin
  with recursive class as (
    (select w.template_id, w.priority
     from tasker.waiting w
     where w.namespace_id = _claim_waiting.namespace_id and w.claimed_by is null
     order by w.template_id, w.priority
     limit 1)
    union all
    select n.template_id, n.priority
    from class c
    cross join lateral (
      select w.template_id, w.priority
      from tasker.waiting w
      where w.namespace_id = _claim_waiting.namespace_id and w.claimed_by is null
        and (w.template_id, w.priority) > (c.template_id, c.priority)
      order by w.template_id, w.priority
      limit 1) n
  ), candidate as (
    select h.*
    from class c
    left join unnest(_claim_waiting.templates, _claim_waiting.rooms) l(template_id, room) on l.template_id = c.template_id
    cross join lateral (
      select w.ctid as row_id, w.template_id, w.task_id, w.step_id, w.priority, w.since
      from tasker.waiting w
      where w.namespace_id = _claim_waiting.namespace_id and w.template_id = c.template_id
        and w.priority = c.priority and w.claimed_by is null
        and (only_task_id is null or w.task_id = only_task_id)
      order by w.since, w.task_id, w.step_id
      limit case when l.room <= 0 then 0 else least(l.room, wanted) + skipped end) h
    union all
    select null, t.template_id, t.task_id, r.step_id, t.priority, greatest(t.run_at, t.created_at)
    from unnest(_claim_waiting.ready) r(step_id)
    join tasker.tasks t on t.task_id = r.step_id >> 16
  ), ranked as (
    select c.*, row_number() over (partition by c.template_id
      order by tasker._computed_priority(c.priority, c.since, at) desc, c.since, c.task_id, c.step_id) as nth
    from candidate c
  ), first as (
    select r.*
    from ranked r
    left join unnest(_claim_waiting.templates, _claim_waiting.rooms) l(template_id, room) on l.template_id = r.template_id
    where coalesce(r.nth <= l.room + skipped and l.room > 0, true)
    order by tasker._computed_priority(r.priority, r.since, at) desc, r.since, r.task_id, r.step_id
    limit wanted + skipped
  )
  select array_agg(f.row_id) filter (where f.row_id is not null),
    array_agg(f.task_id) filter (where f.row_id is not null),
    array_agg(f.step_id) filter (where f.row_id is not null),
    array_agg(f.step_id) filter (where f.row_id is null), count(*)
  into row_ids, row_tasks, row_steps, ready_ids, considered
  from first f;

  select array_agg(t.task_id) into held
  from (
    select t.task_id
    from tasker.tasks t
    where t.task_id = any(row_tasks) and t.state in ('pending', 'in_progress') and t.stopping is null
    order by t.task_id
    for no key update skip locked
  ) t;
  select array_agg(s.step_id) into held_steps
  from (
    select s.step_id
    from tasker.steps s
    where s.step_id = any(row_steps) and s.task_id = any(held)
    order by s.step_id
    for no key update skip locked
  ) s;
  -- A row that has gone meanwhile is simply not there. One look for each: all at once (`= any`) may be planned as a scan of
  -- the whole index, while the table is small, and stay so when a million wait.
  select array_agg(w.row_id) into held_rows
  from unnest(row_ids, row_tasks, row_steps) r(row_id, task_id, step_id)
  cross join lateral (
    select w.ctid as row_id
    from tasker.waiting w
    where w.ctid = r.row_id and w.claimed_by is null
      and case when r.task_id in (select unnest(held)) and (r.step_id is null or r.step_id in (select unnest(held_steps))) then true end
    for update skip locked
    offset 0) w;

  -- ready_ids are at most `wanted + skipped`; they take their place before the rows that are surplus.
  with mine as (
    select w.*
    from unnest(held_rows) r(row_id)
    cross join lateral (
      select w.ctid as row_id, w.template_id, w.task_id, w.step_id, w.priority, w.since
      from tasker.waiting w
      where w.ctid = r.row_id
      offset 0) w
    union all
    select null, t.template_id, t.task_id, r.step_id, t.priority, greatest(t.run_at, t.created_at)
    from unnest(ready_ids) r(step_id)
    join tasker.tasks t on t.task_id = r.step_id >> 16
  ), ranked as (
    select m.*, row_number() over (partition by m.template_id
      order by tasker._computed_priority(m.priority, m.since, at) desc, m.since, m.task_id, m.step_id) as nth
    from mine m
  ), taken as materialized (
    select r.row_id, r.task_id, r.step_id
    from ranked r
    left join unnest(_claim_waiting.templates, _claim_waiting.rooms) l(template_id, room) on l.template_id = r.template_id
    where coalesce(r.nth <= l.room, true)
    order by tasker._computed_priority(r.priority, r.since, at) desc, r.since, r.task_id, r.step_id
    limit wanted
  ), gone as (
    delete from tasker.waiting w using taken k where w.ctid = k.row_id
  )
  select array_agg(k.step_id) filter (where k.step_id is not null),
    array_agg(k.task_id) filter (where k.step_id is null)
  into _claim_waiting.step_ids, _claim_waiting.task_ids
  from taken k;

  select array_agg(r.step_id) into passed_over
  from unnest(_claim_waiting.ready) r(step_id)
  where r.step_id <> all(coalesce(_claim_waiting.step_ids, '{}'));
  missed := coalesce(cardinality(row_ids), 0) - coalesce(cardinality(held_rows), 0);
  -- With limited templates the list may be cut by their rooms: then it is over when a longer look finds no more.
  exhausted := case when templates is null then considered < wanted + skipped else considered <= skipped end;
end $$;
