-- The task_id itself, where there is such a task.
create or replace function tasker._known_task(task_id bigint)
returns bigint
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
begin
  if not exists (select from tasker.tasks t where t.task_id = _known_task.task_id) then
    perform tasker._raise_no_task(_known_task.task_id);
  end if;
  return _known_task.task_id;
end $$;
