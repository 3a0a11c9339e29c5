create or replace function tasker.enqueue_ready_steps(task_id bigint)
returns integer
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '1s'
as $$
#variable_conflict error
declare
  at        constant timestamptz := tasker.clock();
  namespace tasker.namespaces;
  task      record;
  capacity  record;
  fit       record;
  roots     record;
  ready     bigint[];
  due       boolean;
  enqueued  integer := 0;
begin
  perform tasker._need_read_committed('enqueue_ready_steps');
  select t.task_id, t.namespace_id, t.state, t.stopping into task
  from tasker.tasks t
  where t.task_id = enqueue_ready_steps.task_id
  for no key update;
  if task.task_id is null then
    perform tasker._raise_no_task(enqueue_ready_steps.task_id);
  end if;
  if task.state not in ('pending', 'in_progress') or task.stopping is not null then
    return 0;
  end if;
  select n.* into namespace from tasker.namespaces n where n.namespace_id = task.namespace_id;
  select * into capacity from tasker._capacity(namespace, at, freed => 0, wanted => 1, in_a_call => false);
  if coalesce(capacity.room, 0) = 0 then
    return 0;
  end if;

  with gone as (
    delete from tasker.waiting w where w.task_id = enqueue_ready_steps.task_id returning w.step_id
  )
  select array_agg(g.step_id order by g.step_id) filter (where g.step_id is not null), coalesce(bool_or(g.step_id is null), false)
  into ready, due
  from gone g;
  -- A task that waits for its run_at has no waiting row.
  if task.state = 'pending' and due then
    select * into roots from tasker._start_tasks(array[enqueue_ready_steps.task_id], at);
    ready := ready || roots.ready;
    if roots.over is not null then
      perform tasker._finish_if_over(enqueue_ready_steps.task_id, at);
    end if;
  end if;

  if cardinality(ready) > 0 then
    select * into fit from tasker._fit(ready, capacity.room, capacity.templates, capacity.rooms, at);
    if fit.left_over is not null then
      perform tasker._park(fit.left_over, at);
    end if;
    if fit.step_ids is not null then
      enqueued := tasker._enqueue(namespace.namespace_id, namespace.name, fit.step_ids, at);
    end if;
  end if;
  return enqueued;
end $$;
comment on function tasker.enqueue_ready_steps is
  'For an orchestrator outside: starts a task that has not started, and enqueues its ready steps as far as the namespace has room; returns how many. The rest waits. A task whose run_at is to come is not started. Raises 42704 for an unknown task, 25000 above isolation level read committed.';
