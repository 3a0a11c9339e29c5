create or replace function tasker.retry_step(step_id bigint, reason text default null)
returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  held record;
begin
  perform tasker._check_length('reason', retry_step.reason, 1024);
  select * into held from tasker._lock_step(retry_step.step_id);
  if (held.step).state <> 'error' or (held.task).state not in ('error', 'in_progress') then
    raise exception using
      errcode = 'object_not_in_prerequisite_state',
      message = format('step %s is %s, its task %s', retry_step.step_id, (held.step).state, (held.task).state),
      hint = 'Only a step in error, of a task that was not cancelled, can be tried once more.';
  end if;
  perform tasker._reopen_task((held.task).task_id, array[retry_step.step_id], retry_step.reason, tasker.clock());
end $$;
comment on function tasker.retry_step is
  'Tries a step in error once more: raises its max_attempts by one, enqueues it at once, and brings its task back to in_progress (steps that were cancelled because the task had stopped are pending again). Raises 42704 for an unknown step, 55000 when the step is not in error or its task was cancelled, 22023 for a reason of more than 1,024 characters.';
