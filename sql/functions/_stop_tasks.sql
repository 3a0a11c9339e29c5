-- Stops tasks that are in progress and locked by the caller: what can be cancelled is, nothing is tried again, and
-- when the last attempt that is still out has ended the task ends in error. Returns the tasks with nothing left.
create or replace function tasker._stop_tasks(task_ids bigint[], reason text, at timestamptz)
returns bigint[]
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  stopping bigint[];
begin
  with stopping as (
    update tasker.tasks t
    set stopping = _stop_tasks.reason
    where t.task_id = any(_stop_tasks.task_ids) and t.state = 'in_progress' and t.stopping is null
    returning t.task_id
  )
  select array_agg(s.task_id) into stopping from stopping s;
  return tasker._cancel_steps(stopping, _stop_tasks.reason, at, false);
end $$;
