-- Ends a task that a person's call has left with nothing active.
create or replace function tasker._finish_if_over(task_id bigint, at timestamptz)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  pass tasker._pass := tasker._new_pass();
begin
  pass.over := array[_finish_if_over.task_id];
  perform tasker._finish(pass, _finish_if_over.at);
end $$;
