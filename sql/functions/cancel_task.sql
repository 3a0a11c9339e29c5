create or replace function tasker.cancel_task(task_id bigint, reason text default null)
returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  at        constant timestamptz := tasker.clock();
  old_state text;
begin
  perform tasker._check_length('reason', cancel_task.reason, 1024);
  if tasker._is_limited('{requester}') then
    perform tasker._check_tasks('{requester}', array[cancel_task.task_id]);
  end if;
  select t.state into old_state
  from tasker.tasks t
  where t.task_id = cancel_task.task_id
  for no key update;
  if old_state is null then
    perform tasker._raise_no_task(cancel_task.task_id);
  end if;
  if old_state not in ('pending', 'in_progress') then
    return false;
  end if;

  perform tasker._cancel_steps(array[cancel_task.task_id], coalesce(cancel_task.reason, 'the task was cancelled'), at, true);
  update tasker.tasks t set state = 'cancelled', finished_at = at where t.task_id = cancel_task.task_id;
  insert into tasker.task_transitions (task_id, created_at, from_state, to_state, actor, metadata)
  values (cancel_task.task_id, at, old_state, 'cancelled', session_user, jsonb_build_object('reason', cancel_task.reason));
  delete from tasker.claims c where c.task_id = cancel_task.task_id;
  perform tasker._close_stuck(array[cancel_task.task_id], at);
  perform tasker._publish_task_ends(array[cancel_task.task_id], at);
  perform tasker._wake();
  perform tasker._wake_namespace(0);
  return true;
end $$;
comment on function tasker.cancel_task is
  'Cancels a task that is not over: its steps become cancelled, messages that nobody holds are removed, results that come later are late. An attempt that its worker has reported already settles by its report. Waits for a worker''s open transaction on one of its steps. Returns false when the task was over. Raises 42704 for an unknown task, 22023 for a reason of more than 1,024 characters.';
