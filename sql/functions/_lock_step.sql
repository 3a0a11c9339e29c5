-- Locks a step and before it its task, as everybody does, for a person's call. 42704 for an unknown step.
create or replace function tasker._lock_step(step_id bigint, out step tasker.steps, out task tasker.tasks)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
begin
  select t.* into _lock_step.task from tasker.tasks t where t.task_id = _lock_step.step_id >> 16 for no key update;
  select s.* into _lock_step.step from tasker.steps s where s.step_id = _lock_step.step_id for no key update;
  if (_lock_step.step).step_id is null then
    raise exception using
      errcode = case when _lock_step.step_id is null then 'null_value_not_allowed' else 'undefined_object' end,
      message = case when _lock_step.step_id is null then 'step_id must not be NULL'
        else format('step %s does not exist', _lock_step.step_id) end,
      hint = 'A task has its steps once it has started; SELECT * FROM tasker.task_results(task_id) lists them.';
  end if;
end $$;
