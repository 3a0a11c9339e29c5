create or replace function tasker.explain_task(task_id bigint)
returns table (subject text, fact text, advice text)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  at constant timestamptz := tasker.clock();
  task tasker.tasks;
begin
  perform tasker._known_task(explain_task.task_id);
  select t.* into task
  from tasker.tasks t
  where t.task_id = explain_task.task_id;

  return query
  select
    format('task %s', task.task_id),
    format('%s/%s %s %s', n.name, tt.name, tt.version, case
      when task.finished_at is not null
        then format('ended in state %s at %s', task.state, date_trunc('second', task.finished_at))
      when task.stopping is not null
        then format('is stopping (%s): it ends when the attempts that are still out have ended', task.stopping)
      when task.state = 'in_progress'
        then format('is in progress since %s', date_trunc('second', task.started_at))
      when task.run_at > at
        then format('has not started: it is delayed until %s', date_trunc('second', task.run_at))
      else format('has not started; it was requested at %s', date_trunc('second', task.created_at))
    end),
    case
      when task.state = 'error' then 'The steps in error are listed here; mend the cause, then have them tried again or resolve them by hand.'
      when task.finished_at is null and task.state = 'in_progress' and task.stopping is null and task.active_steps = 0
        then 'Nothing of it is active, so it should have ended: SELECT * FROM tasker.check() says what is wrong.'
    end
  from tasker.task_templates tt
  join tasker.namespaces n on n.namespace_id = tt.namespace_id
  where tt.template_id = task.template_id;

  return query
  select
    'steps',
    format('%s of %s completed, %s in flight, %s waiting for a retry, %s in error, %s pending, %s cancelled',
      s.completed_steps, s.total_steps, s.in_flight_steps, s.waiting_for_retry_steps, s.failed_steps, s.pending_steps,
      s.cancelled_steps),
    null::text
  from tasker.task_status s
  where s.task_id = task.task_id;

  if task.finished_at is null then
    return query
    select format('engine in %s', o.database), o.situation, o.advice
    from tasker.orchestrator_status o
    order by o.situation = 'running' desc
    limit 1;
    return query select * from tasker._explain_waiting(task, at);
  end if;
  return query select * from tasker._explain_steps(task, at);
end $$;
comment on function tasker.explain_task(bigint) is
'Why a task is not running, or not getting on, in plain words: rows (subject, fact, advice), from the task itself over the engine, its namespace and what of it waits to its steps: in flight, waiting for a retry, in error, blocked. At most 20 steps of each sort are named. advice is NULL where there is nothing to do but wait. Messages of errors are shown to those who may read tasker.steps, to others the type. Errors: 42704 when the task does not exist, 22004 when task_id is NULL.';
