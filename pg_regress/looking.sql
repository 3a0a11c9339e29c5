-- Included after helpers.sql by the tests that look at a task after every single step.

-- Where a task stands, in the columns of get_task_execution_context. counters_agree: what the engine counts of its steps'
-- parents is what the graph says.
create function pg_temp.context(task bigint)
returns table (status text, total integer, pending integer, enqueued integer, in_progress integer, completed integer,
  failed integer, ready integer, execution_status text, recommended_action text, percent numeric, health text, counters_agree boolean)
language sql
as $$
  select c.status, c.total_steps, c.pending_steps, c.enqueued_steps, c.in_progress_steps, c.completed_steps, c.failed_steps,
    c.ready_steps, c.execution_status, c.recommended_action, c.completion_percentage, c.health_status,
    not exists (
      select from tasker.get_step_readiness_status(task) r
      join tasker.steps s using (step_id)
      where s.remaining_parents <> r.total_parents - r.completed_parents)
  from tasker.get_task_execution_context(task) c
$$;

-- Readiness of its steps, in the columns of get_step_readiness_status.
create function pg_temp.readiness(task bigint)
returns table (name text, state text, satisfied boolean, eligible boolean, ready boolean, parents text, attempts text)
language sql
as $$
  select r.name, r.current_state, r.dependencies_satisfied, r.retry_eligible, r.ready_for_execution,
    r.completed_parents || '/' || r.total_parents, r.attempts || '/' || r.max_attempts
  from tasker.get_step_readiness_status(task) r
$$;

-- A worker that uses the functions takes a step, ...
create procedure pg_temp.begin_step(namespace text, name text)
language plpgsql
as $$
begin
  perform from tasker.poll_steps(namespace, step_names => array[name]);
  if not found then
    raise exception 'there is no step % to take', name;
  end if;
end $$;

-- ... and reports its success.
create procedure pg_temp.end_step(task bigint, name text, results jsonb default null)
language sql
as $$ select tasker.complete_step(pg_temp.step(task, name), pg_temp.attempt(task, name), results) $$;

\set look 'select * from pg_temp.context(:task); select * from pg_temp.readiness(:task);'
