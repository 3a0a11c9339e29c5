-- Phase 4: what is ready goes to the queues, in order of computed priority, as far as each namespace has room.
create or replace function tasker._claim(pass tasker._pass, batch integer, at timestamptz)
returns tasker._pass
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  waiting   constant bigint[] := tasker._namespaces_that_wait();
  namespace record;
  freed     integer;
  at_once   integer;
begin
  -- Nearly always nothing waits, and what became ready is of one namespace.
  if waiting is null then
    if pass.ready = '{}' then
      return pass;
    end if;
    at_once := tasker._enqueue_at_once(pass.ready_in, pass.ready, pass.settled, at, waits => false);
    if at_once is not null then
      pass.enqueued := pass.enqueued + at_once;
      return pass;
    end if;
  end if;
  for namespace in
    with fresh as (
      -- A look-up of each task costs 2 us a step.
      select pass.ready_in as namespace_id, pass.ready
      where pass.ready_in is not null and pass.ready <> '{}'
      union all
      select t.namespace_id, array_agg(r.step_id) as ready
      from unnest(case when pass.ready_in is null then pass.ready end) r(step_id)
      join tasker.tasks t on t.task_id = r.step_id >> 16
      where t.state = 'in_progress' and t.stopping is null
      group by t.namespace_id
    )
    select n.namespace_id, f.ready, coalesce(n.namespace_id = any(waiting), false) as waits
    from tasker.namespaces n
    left join fresh f on f.namespace_id = n.namespace_id
    where f.ready is not null or n.namespace_id = any(waiting)
    order by n.namespace_id
  loop
    continue when namespace.ready is null and tasker._is_full(namespace.namespace_id);
    -- The places of what it has settled it may fill again whoever else enqueues here: passes side by side do not stop
    -- one another.
    freed := case when namespace.namespace_id = pass.ready_in then pass.settled else 0 end;
    at_once := case when namespace.ready is not null and (pass.ready_in is null or waiting is not null)
      then tasker._enqueue_at_once(namespace.namespace_id, namespace.ready, freed, at,
        waits => case when not namespace.waits then false end) end;
    if at_once is not null then
      pass.enqueued := pass.enqueued + at_once;
    else
      pass := tasker._claim_namespace(pass, namespace.namespace_id, namespace.ready, batch, at, freed => freed,
        waits => namespace.waits);
    end if;
  end loop;
  return pass;
end $$;
