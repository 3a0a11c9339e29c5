create or replace function tasker.retry_task(task_id bigint, reason text default null)
returns integer
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  old_state text;
  step_ids  bigint[];
begin
  perform tasker._check_length('reason', retry_task.reason, 1024);
  select t.state into old_state from tasker.tasks t where t.task_id = retry_task.task_id for no key update;
  if old_state is null then
    perform tasker._raise_no_task(retry_task.task_id);
  end if;
  if old_state <> 'error' then
    raise exception using
      errcode = 'object_not_in_prerequisite_state',
      message = format('task %s is %s', retry_task.task_id, old_state),
      hint = 'Only a task in error can be tried again.';
  end if;
  select array_agg(s.step_id) into step_ids
  from tasker.steps s
  where s.step_id between retry_task.task_id << 16 and (retry_task.task_id << 16) + 65535 and s.state = 'error';
  perform tasker._reopen_task(retry_task.task_id, step_ids, retry_task.reason, tasker.clock());
  -- All of its steps may have ended well after it had stopped: then it is over, and complete.
  perform tasker._finish_if_over(retry_task.task_id, tasker.clock());
  return coalesce(cardinality(step_ids), 0);
end $$;
comment on function tasker.retry_task is
  'Tries a task in error again: each of its steps in error once more, as retry_step() does. Returns how many. Raises 42704 for an unknown task, 55000 when it is not in error, 22023 for a reason of more than 1,024 characters.';
