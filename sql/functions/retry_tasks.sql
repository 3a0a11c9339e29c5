create or replace function tasker.retry_tasks(
  correlation_id uuid default null,
  tag text default null,
  namespace text default null,
  name text default null,
  since timestamptz default null,
  reason text default null,
  max_tasks integer default 1000,
  dry_run boolean default true)
returns table (task_id bigint, error_steps integer, outcome text)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  task record;
begin
  perform tasker._check_most('max_tasks', retry_tasks.max_tasks);
  for task in
    select t.task_id, t.error_steps
    from tasker._find_tasks(retry_tasks.correlation_id, retry_tasks.tag, retry_tasks.namespace, retry_tasks.name,
      'error', retry_tasks.since, retry_tasks.max_tasks) f(task_id)
    join tasker.tasks t on t.task_id = f.task_id
    order by t.task_id
  loop
    task_id := task.task_id;
    error_steps := task.error_steps;
    outcome := 'would be retried';
    if retry_tasks.dry_run is false then
      perform from tasker.tasks t where t.task_id = task.task_id and t.state = 'error' for no key update;
      outcome := 'is not in error any more';
      if found then
        perform tasker.retry_task(task.task_id, retry_tasks.reason);
        outcome := 'retried';
      end if;
    end if;
    return next;
  end loop;
end $$;
comment on function tasker.retry_tasks is
  'Tries tasks in error again that match all that is given (as find_tasks), the newest max_tasks of them. With dry_run, the default, lists what would be tried again.';
