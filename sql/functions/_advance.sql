-- Settles results in the worker's own call, and enqueues what they make room for, by the rules of a pass. The items of
-- results whose task, step or a child of it somebody has locked are left: they go by the queue. Returns the numbers
-- (from 1) of those that were settled.
--
-- Locks as a pass does: tasks, then children, then steps, each sorted, each skipped where it is locked.
create or replace function tasker._advance(results jsonb[], at timestamptz)
returns integer[]
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  pass      tasker._pass := tasker._new_pass();
  task_ids  bigint[];
  held_up   bigint[];
  held      bigint[];
  outcomes  tasker._outcome[];
  items     integer[];
  ended     record;
  namespace record;
begin
  -- A copy does not do the original's work: its orchestrator will not settle what is queued either.
  if tasker._identity_is_ours() is not true then
    return '{}';
  end if;
  select array_agg(t.task_id) into task_ids
  from (
    select t.task_id
    from tasker.tasks t
    where t.task_id = any(array(select distinct (r ->> 'step_id')::bigint >> 16 from unnest(_advance.results) r))
    order by t.task_id
    for no key update skip locked
  ) t;
  held_up := tasker._held_up(array(
    select i
    from (select (r ->> 'step_id')::bigint from unnest(_advance.results) r) i(i)
    where case when i >> 16 in (select unnest(task_ids)) then true end));
  select array_agg(s.step_id) into held
  from (
    select s.step_id
    from tasker.steps s
    where s.step_id = any(array(
      select i
      from (select (r ->> 'step_id')::bigint from unnest(_advance.results) r) i(i)
      where case when i >> 16 in (select unnest(task_ids)) and i not in (select unnest(held_up)) then true end))
    order by s.step_id
    for no key update skip locked
  ) s;

  with report as (
    select r.n::integer as item, (r.result ->> 'step_id')::bigint as step_id, (r.result ->> 'attempt')::integer as attempt, r.result
    from unnest(_advance.results) with ordinality r(result, n)
  ), ranked as (
    select r.item, r.result, s.step_id, s.attempts, s.state, row_number() over (partition by s.step_id order by r.item) as nth
    from report r
    join tasker.steps s on s.step_id = r.step_id
    where r.step_id = any(held) and s.attempts = r.attempt and s.state in ('enqueued', 'in_progress') and s.reported_at is null
  )
  select
    array_agg(tasker._outcome_of(r.step_id, r.attempts, r.state, r.result) order by r.step_id),
    array_agg(r.item)
  into outcomes, items
  from ranked r
  where r.nth = 1;
  if outcomes is null then
    return '{}';
  end if;

  select * into ended from tasker._end_attempts(outcomes, at);
  pass.over := pass.over || ended.over;
  for namespace in
    select t.namespace_id, array_agg(i.step_id order by i.n) filter (where i.ready) as ready
    from (
      select o.step_id, false as ready, 0::bigint as n from unnest(outcomes) o
      union all
      select e.step_id, true, e.n from unnest(ended.ready) with ordinality e(step_id, n)
    ) i
    join tasker.tasks t on t.task_id = i.step_id >> 16
    group by t.namespace_id
    order by t.namespace_id
  loop
    pass := tasker._claim_namespace(pass, namespace.namespace_id,
      tasker._unclaimed(namespace.ready, at), tasker._setting('batch_size')::integer, at);
  end loop;
  pass := tasker._finish(pass, at);

  -- Retries have timers, what found no room or was held waits: the orchestrator must know.
  if pass.more or pass.next_due_at is not null or exists (select from unnest(outcomes) o where not o.success) then
    perform tasker._wake();
  end if;
  return items;
end $$;
