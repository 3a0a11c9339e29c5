-- Ends attempts, and says which steps became ready and which tasks may be over. The caller holds the tasks and the
-- steps locked and has seen that the attempts are in flight.
--
-- A child whose last parent this was keeps its old remaining_parents here: enqueueing (or parking) it is the one
-- update that it gets.
create or replace function tasker._end_attempts(outcomes tasker._outcome[], at timestamptz, out ready bigint[], out over bigint[])
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  failed    constant boolean := exists (select from unnest(outcomes) o where not o.success);
  completed bigint[];
  stopping  bigint[];
begin
  if failed then
    over := tasker._fail_attempts(outcomes, at);
  end if;

  with completed as (
    update tasker.steps s
    set state = 'complete', results = o.results, finished_at = at,
      reported_at = coalesce(s.reported_at, at), reported_status = 'success'
    from unnest(outcomes) o
    where o.success and s.step_id = o.step_id
    returning s.step_id, s.task_id, o.attempt, o.from_state, o.metadata, o.took_ms
  ), audited as (
    insert into tasker.step_transitions (step_id, task_id, created_at, attempt, from_state, to_state, actor, metadata)
    select c.step_id, c.task_id, at, c.attempt, c.from_state, 'complete', session_user,
      case when c.metadata is not null or c.took_ms is not null then
        jsonb_strip_nulls(jsonb_build_object('execution_time_ms', c.took_ms, 'orchestration_metadata', c.metadata)) end
    from completed c
  )
  select array_agg(c.step_id) into completed from completed c;

  insert into tasker.in_flight_deltas (namespace_id, template_id, delta)
  select t.namespace_id, t.template_id, -count(*)
  from unnest(outcomes) o
  cross join lateral (select t.namespace_id, t.template_id from tasker.tasks t where t.task_id = o.step_id >> 16 offset 0) t
  group by t.namespace_id, t.template_id;

  if completed is not null then
    perform tasker._publish_step_ends(completed, at);
    select r.ready, coalesce(_end_attempts.over, '{}') || r.over
    into _end_attempts.ready, _end_attempts.over
    from tasker._release_children(completed) r;
  end if;

  -- An index without an entry, nearly always.
  if exists (select from tasker.dead_letters d where d.reason = 'stuck' and d.resolved_at is null) then
    perform tasker._close_stuck(array(select distinct o.step_id >> 16 from unnest(outcomes) o), at);
  end if;

  -- Last of all: a success beside the failure counts, and what it made ready is cancelled with the rest.
  if failed then
    select array_agg(distinct s.task_id) into stopping
    from unnest(outcomes) o
    join tasker.steps s on s.step_id = o.step_id
    join tasker.tasks t on t.task_id = s.task_id
    join tasker.task_templates tt on tt.template_id = t.template_id
    where not o.success and s.state = 'error' and tt.on_failure = 'fail_fast';
    if stopping is not null then
      over := over || tasker._stop_tasks(stopping, 'fail_fast: a step has failed', at);
    end if;
  end if;
end $$;
