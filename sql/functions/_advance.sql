-- Settles results in the worker's own call, and enqueues what they make room for, by the rules of a pass. The items of
-- results that are not well-formed, or whose task, step or a child of it somebody has locked, are left. Returns the numbers (from
-- 1) of those that were settled.
--
-- Locks as a pass does: tasks, then children, then steps, each sorted, each skipped where it is locked; but where a task
-- seems to be locked it waits a moment first, while it holds nothing (not where the caller `holds` some, of a first try), and
-- behind one that is locked all the same it takes none. Two that work on one task take turns; what went by the queue instead cost
-- the orchestrator another 40 us a step (a fan-out of 100, two workers).
create or replace function tasker._advance(results jsonb[], at timestamptz, holds boolean default false)
returns bigint[]
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  busy      bigint[];
  matched   record;
  ended     record;
  namespace record;
  pass      tasker._pass;
  over      bigint[];
begin
  -- A copy does not do the original's work: its orchestrator will not settle what is queued either.
  if tasker._identity_is_ours() is not true then
    return '{}';
  end if;
  if not holds then
    busy := tasker._tasks_if_held(_advance.results);
    if busy is not null then
      perform tasker._wait_for_tasks(busy, current_setting('lock_timeout'));
    end if;
  end if;
  matched := tasker._hold_attempts(_advance.results, queued => false);
  if matched.outcomes is null then
    return '{}';
  end if;

  ended := tasker._end_attempts(matched.outcomes, at);
  over := ended.over;
  -- Nearly always at once; else all namespaces in turn.
  if tasker._enqueue_at_once(matched.only_namespace, ended.ready,
    cardinality(matched.outcomes) - coalesce(cardinality(ended.held_up), 0), at) is null then
    pass := tasker._new_pass();
    for namespace in
      select i.namespace_id, array_agg(i.step_id order by i.step_id) filter (where i.ready) as ready,
        count(*) filter (where not i.ready) as freed
      from (
        select o.namespace_id, o.step_id, false as ready from unnest(matched.outcomes) o
        where o.step_id <> all(coalesce(ended.held_up, '{}'))
        union all
        select t.namespace_id, r.step_id, true
        from unnest(ended.ready) r(step_id)
        join tasker.tasks t on t.task_id = r.step_id >> 16
      ) i
      group by i.namespace_id
      order by i.namespace_id
    loop
      pass := tasker._claim_namespace(pass, namespace.namespace_id, namespace.ready, tasker._setting('batch_size')::integer, at,
        freed => namespace.freed, in_a_call => true);
    end loop;
    over := over || pass.over;
  end if;
  -- Retries have timers, what found no room or was held waits: the orchestrator must know.
  if ended.failed or pass.more or pass.next_due_at is not null then
    perform tasker._wake();
  end if;
  if over <> '{}' then
    perform tasker._finish_tasks(over, at);
  end if;

  if ended.held_up is not null then
    return array(
      select r.n
      from unnest(_advance.results) with ordinality r(result, n)
      where r.n in (select unnest(matched.settled)) and (r.result ->> 'step_id')::bigint not in (select unnest(ended.held_up)));
  end if;
  return matched.settled;
end $$;
