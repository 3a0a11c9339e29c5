-- Closes the dead letters of tasks that were stuck and go on, or have ended. One that a person holds locked is left.
create or replace function tasker._close_stuck(task_ids bigint[], at timestamptz)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
begin
  update tasker.dead_letters d
  set resolved_at = at, resolution = 'moved on', resolved_by = session_user
  where d.dead_letter_id in (
    select l.dead_letter_id
    from tasker.dead_letters l
    where l.task_id = any(_close_stuck.task_ids) and l.reason = 'stuck' and l.resolved_at is null
    for update skip locked);
end $$;
