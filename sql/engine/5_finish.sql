-- Phase 5: tasks with nothing ready, in flight or waiting are over.
create or replace function tasker._finish(pass tasker._pass, at timestamptz)
returns tasker._pass
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  finished bigint[];
  states   text[];
  metadata jsonb[];
  written  boolean;
begin
  if cardinality(pass.over) = 0 then
    return pass;
  end if;
  with finished as (
    update tasker.tasks t
    set state = case when t.error_steps > 0 or t.stopping is not null then 'error' else 'complete' end,
      finished_at = at
    where t.task_id = any(pass.over) and t.state = 'in_progress' and t.active_steps = 0
    returning t.task_id, t.state, t.stopping
  )
  select array_agg(f.task_id order by f.task_id), array_agg(f.state order by f.task_id),
    array_agg(case when f.stopping is not null then jsonb_build_object('reason', f.stopping) end order by f.task_id)
  into finished, states, metadata
  from finished f;
  if finished is not null then
    written := tasker._write_task_transitions(finished, at, array_fill('in_progress'::text, array[cardinality(finished)]), states, metadata);
    if tasker._any_claims() then
      delete from tasker.claims c
      where c.task_id in (select l.task_id from tasker.claims l where l.task_id = any(finished) for update skip locked);
    end if;
    perform tasker._publish_task_ends(finished, at);
    perform tasker._wake_namespace(0);
    pass.finished := pass.finished + cardinality(finished);
  end if;
  return pass;
end $$;
