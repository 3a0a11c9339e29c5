-- The first `wanted` of what waits in a namespace and of the steps that became ready just now, in order of computed
-- priority. Waiting rows are deleted, their tasks locked. Returns steps and tasks to start, in that order, the ready steps
-- that were passed over, how many rows were missed because somebody holds them, their task or their step locked, and
-- whether that was all.
--
-- Every (template, priority) has its own order in the index, and within it the oldest comes first; so the first
-- `wanted + skipped` of each hold the answer, fewer of a template that has less room (templates, rooms). The cost does
-- not depend on how many rows wait behind them, and hardly (_waits_since) on how many have gone before them.
--
-- Rows and steps that nobody has ever locked (xmax is 0) are not locked here either, as with children (children.rs): they are deleted
-- and updated a moment later. A row that another pass sets aside within that moment is waited for, and not taken.
create or replace function tasker._claim_waiting(
  namespace_id bigint, ready bigint[], wanted bigint, skipped bigint, templates bigint[], rooms bigint[],
  at timestamptz, only_task_id bigint,
  out step_ids bigint[], out task_ids bigint[], out passed_over bigint[], out missed bigint, out exhausted boolean)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  -- What is considered, by place in the order. Ready steps have no row.
  row_ids       tid[];
  row_templates bigint[];
  row_tasks     bigint[];
  row_steps     bigint[];
  considered    bigint;
  rows          bigint;
  waiting_tasks bigint[];
  held_tasks    bigint[];
  held          bigint[];  -- places
  touched       bigint[];  -- places
  held_steps    bigint[];
begin
  -- Classes from their ends: at the heads lie the entries of what was claimed last.
  with recursive class as (
    (select w.template_id, w.priority
     from tasker.waiting w
     where w.namespace_id = _claim_waiting.namespace_id and w.claimed_by is null
     order by w.template_id desc, w.priority desc
     limit 1)
    union all
    select n.template_id, n.priority
    from class c
    cross join lateral (
      select w.template_id, w.priority
      from tasker.waiting w
      where w.namespace_id = _claim_waiting.namespace_id and w.claimed_by is null
        and (w.template_id, w.priority) < (c.template_id, c.priority)
      order by w.template_id desc, w.priority desc
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
        and w.since >= tasker._waits_since(_claim_waiting.namespace_id, c.template_id, c.priority)
        and (only_task_id is null or w.task_id = only_task_id)
      order by w.since, w.task_id, w.step_id
      limit case when l.room <= 0 then 0 else least(l.room, wanted) + skipped end) h
    union all
    select null, t.template_id, t.task_id, r.step_id, t.priority, greatest(t.run_at, t.created_at)
    from unnest(_claim_waiting.ready) r(step_id)
    join tasker.tasks t on t.task_id = r.step_id >> 16
  ), placed as (
    select c.row_id, c.template_id, c.task_id, c.step_id, row_number() over (
      order by tasker._computed_priority(c.priority, c.since, at) desc, c.since, c.task_id, c.step_id) as place
    from candidate c
  ), ranked as (
    select p.*, row_number() over (partition by p.template_id order by p.place) as nth
    from placed p
  ), first as (
    select r.*
    from ranked r
    left join unnest(_claim_waiting.templates, _claim_waiting.rooms) l(template_id, room) on l.template_id = r.template_id
    where coalesce(r.nth <= l.room + skipped and l.room > 0, true)
    order by r.place
    limit wanted + skipped
  )
  select array_agg(f.row_id), array_agg(f.template_id), array_agg(f.task_id), array_agg(f.step_id), count(*), count(f.row_id),
    array_agg(f.task_id) filter (where f.row_id is not null)
  into row_ids, row_templates, row_tasks, row_steps, considered, rows, waiting_tasks
  from first f;

  select array_agg(t.task_id) into held_tasks
  from (
    select t.task_id
    from tasker.tasks t
    where t.task_id = any(waiting_tasks) and t.state in ('pending', 'in_progress') and t.stopping is null
    order by t.task_id
    for no key update skip locked
  ) t;
  -- A row that has gone meanwhile is simply not there. One look for each: all at once (`= any`) may be planned as a scan of
  -- the whole index, while the table is small, and stay so when a million wait.
  select array_agg(f.place) filter (where f.untouched), array_agg(f.place) filter (where not f.untouched) into held, touched
  from (
    select r.place, w.untouched and (r.step_id is null or s.untouched) as untouched
    from unnest(row_ids, row_tasks, row_steps) with ordinality r(row_id, task_id, step_id, place)
    cross join lateral (
      select w.xmax = '0' as untouched
      from tasker.waiting w
      where w.ctid = r.row_id and w.task_id = r.task_id and w.claimed_by is null
        and case when r.task_id in (select unnest(held_tasks)) then true end
      offset 0) w
    left join lateral (
      select s.xmax = '0' as untouched
      from tasker.steps s
      where s.step_id = r.step_id
      offset 0) s on true
  ) f;
  if touched is not null then
    select array_agg(s.step_id) into held_steps
    from (
      select s.step_id
      from tasker.steps s
      where s.step_id = any(array(select row_steps[place] from unnest(touched) place))
      order by s.step_id
      for no key update skip locked
    ) s;
    held := held || array(
      select r.place
      from (select place, row_ids[place] as row_id, row_steps[place] as step_id from unnest(touched) place) r
      cross join lateral (
        select w.ctid
        from tasker.waiting w
        where w.ctid = r.row_id and w.claimed_by is null
          and case when r.step_id is null or r.step_id in (select unnest(held_steps)) then true end
        for update skip locked
        offset 0) w);
  end if;

  -- Ready steps are at most `wanted + skipped`; they take their place before the rows that are surplus.
  with mine as (
    select r.*, row_number() over (partition by r.template_id order by r.place) as nth
    from unnest(row_ids, row_templates, row_tasks, row_steps) with ordinality r(row_id, template_id, task_id, step_id, place)
    where r.row_id is null or r.place in (select unnest(held))
  ), taken as materialized (
    select m.row_id, m.task_id, m.step_id, m.place
    from mine m
    left join unnest(_claim_waiting.templates, _claim_waiting.rooms) l(template_id, room) on l.template_id = m.template_id
    where coalesce(m.nth <= l.room, true)
    order by m.place
    limit wanted
  ), gone as (
    -- `case`: no condition of a partial index.
    delete from tasker.waiting w using taken k
    where w.ctid = k.row_id and case when w.claimed_by is null then true end
    returning k.task_id, k.step_id, k.place
  )
  select array_agg(k.step_id order by k.place) filter (where k.step_id is not null),
    array_agg(k.task_id order by k.place) filter (where k.step_id is null)
  into _claim_waiting.step_ids, _claim_waiting.task_ids
  from (
    select g.task_id, g.step_id, g.place from gone g
    union all
    select k.task_id, k.step_id, k.place from taken k where k.row_id is null
  ) k;

  select array_agg(r.step_id) into passed_over
  from unnest(_claim_waiting.ready) r(step_id)
  where r.step_id not in (select unnest(_claim_waiting.step_ids));
  missed := rows - coalesce(cardinality(held), 0);
  -- With limited templates the list may be cut by their rooms: then it is over when a longer look finds no more.
  exhausted := case when templates is null then considered < wanted + skipped else considered <= skipped end;
end $$;
