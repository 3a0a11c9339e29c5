-- Ends attempts, and says which steps became ready, which tasks may be over, and which attempts could not end because
-- somebody has locked a child of their step; and whether any failed. The caller holds the tasks and the steps locked and has seen that the
-- attempts are in flight.
create or replace function tasker._end_attempts(
  outcomes tasker._outcome[], at timestamptz, out ready bigint[], out over bigint[], out held_up bigint[],
  out failed boolean)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  ended    record;
  children record;
  stopping bigint[];
  written  boolean;
begin
  loop
    ended := tasker._successes(outcomes);
    failed := ended.failed;
    exit when ended.step_ids is null or held_up is not null;

    children := tasker._hold_children(ended.step_ids, ended.templates);
    exit when children.held_up is null;
    -- Of all parents of such a child only those that are about to be done: a failure counts whatever becomes of it.
    held_up := array(select i from unnest(ended.step_ids) i where i in (select unnest(children.held_up)));
    outcomes := array(select o from unnest(outcomes) o where not (o.success and o.step_id in (select unnest(held_up))));
  end loop;

  if failed then
    over := tasker._fail_attempts(outcomes, at);
  end if;

  if ended.step_ids is not null then
    written := tasker._write_complete(ended.step_ids, ended.results, at);
    written := tasker._write_step_transitions(ended.step_ids, at, ended.attempts, ended.from_states, 'complete', ended.metadata,
      ended.took_ms);
  end if;

  written := tasker._write_in_flight(ended.all_namespaces, ended.all_templates, -1);

  if ended.step_ids is not null then
    perform tasker._publish_step_ends(ended.step_ids, at);
    ready := children.ready;
    over := over || tasker._release_children(ended.step_ids, children.ready, children.unready, children.still_missing);
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
