-- Ends those of these tasks that are over, outside of a pass. Returns how many.
create or replace function tasker._finish_tasks(task_ids bigint[], at timestamptz)
returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set join_collapse_limit = 1
set jit = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict error
declare
  pass tasker._pass := tasker._new_pass();
begin
  pass.over := _finish_tasks.task_ids;
  pass := tasker._finish(pass, at);
  return pass.finished;
end $$;
