create or replace function tasker._raise_no_task(task_id bigint)
returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
begin
  if _raise_no_task.task_id is null then
    raise exception using errcode = 'null_value_not_allowed', message = 'task_id must not be NULL';
  end if;
  raise exception using
    errcode = 'undefined_object',
    message = format('task %s does not exist', _raise_no_task.task_id),
    hint = 'SELECT * FROM tasker.find_tasks(...) finds tasks by correlation, tag, namespace or name.';
end $$;
