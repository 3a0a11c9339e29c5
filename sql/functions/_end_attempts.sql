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
  stopping bigint[];
begin
  ended := tasker._end_successes(outcomes, at);
  ready := ended.ready;
  over := ended.over;
  held_up := ended.held_up;
  failed := ended.failed;
  if failed then
    over := over || tasker._fail_attempts(outcomes, at);
  end if;
  if ended.to_publish is not null then
    perform tasker._publish_step_ends(ended.to_publish, at);
  end if;
  if ended.stuck is not null then
    perform tasker._close_stuck(ended.stuck, at);
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
