-- The part of explain_task about the namespace and the work that waits.
create or replace function tasker._explain_waiting(task tasker.tasks, at timestamptz)
returns table (subject text, fact text, advice text)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  ahead bigint;
begin
  return query
  select
    format('namespace %s', n.namespace),
    case n.status
      when 'paused' then 'is paused: nothing of it is enqueued'
      when 'set aside' then format('cannot be enqueued to until %s: %s', date_trunc('second', n.fault_until), n.fault)
      else format('is at its limit: %s of %s steps are in flight', n.in_flight, n.max_in_flight)
    end,
    case n.status
      when 'paused' then format('SELECT tasker.resume_namespace(%L);', n.namespace)
      when 'set aside' then 'Mend the cause; it is tried again by itself.'
      else format('More workers make room, and so does SELECT tasker.set_namespace_limit(%L, …);', n.namespace)
    end
  from tasker.namespace_status n
  where n.namespace_id = task.namespace_id and n.status <> 'open';

  -- All that a task has waiting has one and the same computed priority.
  select count(*) into ahead
  from tasker.waiting w
  where w.namespace_id = task.namespace_id
    and w.claimed_by is null
    and tasker._computed_priority(w.priority, w.since, at)
      > tasker._computed_priority(task.priority, greatest(task.run_at, task.created_at), at);

  return query
  select
    case when r.step_id is null then format('task %s', r.task_id) else format('step %s (%s)', r.step_name, r.step_id) end,
    case r.claim_status
      when 'set aside' then format('was set aside until %s: %s', date_trunc('second', r.claim_expires_at), r.fault)
      when 'claimed' then format('is claimed by %s until %s', r.claimed_by, date_trunc('second', r.claim_expires_at))
      when 'stale' then format('is claimed by %s, whose time was over at %s', r.claimed_by, date_trunc('second', r.claim_expires_at))
      else format('waits its turn since %s, with priority %s risen to %s; %s before it in the namespace',
        date_trunc('second', r.since), r.priority, round(r.computed_priority::numeric, 2), ahead)
    end,
    case r.claim_status
      when 'set aside' then 'Mend the cause; it is tried again by itself.'
      when 'stale' then 'The next pass gives it back.'
    end
  from tasker.ready_tasks r
  where r.task_id = task.task_id
  order by r.step_id
  limit 20;

  -- What must wait, but has no row to wait in, waits for ever.
  return query
  select
    format('task %s', task.task_id),
    'neither waits to be started nor has a timer to start it',
    'This is a defect: please report it with the output of SELECT * FROM tasker.check();'
  where task.state = 'pending'
    and not exists (select from tasker.waiting w where w.task_id = task.task_id)
    and not exists (select from tasker.timers t where t.kind = 'start' and t.task_id = task.task_id);
end $$;
