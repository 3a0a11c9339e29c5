create or replace function tasker.cancel_tasks(
  correlation_id uuid default null,
  tag text default null,
  namespace text default null,
  name text default null,
  state text default null,
  since timestamptz default null,
  reason text default null,
  max_tasks integer default 1000,
  dry_run boolean default true)
returns table (task_id bigint, task_state text, outcome text)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  task record;
begin
  perform tasker._check_most('max_tasks', cancel_tasks.max_tasks);
  -- In the order of ids, as everybody locks tasks.
  for task in
    select t.task_id, t.state
    from tasker._find_tasks(cancel_tasks.correlation_id, cancel_tasks.tag, cancel_tasks.namespace, cancel_tasks.name,
      cancel_tasks.state, cancel_tasks.since, cancel_tasks.max_tasks, true) f(task_id)
    join tasker.tasks t on t.task_id = f.task_id
    order by t.task_id
  loop
    task_id := task.task_id;
    task_state := task.state;
    outcome := case
      when cancel_tasks.dry_run is not false then 'would be cancelled'
      when tasker.cancel_task(task.task_id, cancel_tasks.reason) then 'cancelled'
      else 'is over'
    end;
    return next;
  end loop;
end $$;
comment on function tasker.cancel_tasks is
  'Cancels tasks that are not over and match all that is given (as find_tasks), the newest max_tasks of them. With dry_run, the default, lists what would be cancelled.';
