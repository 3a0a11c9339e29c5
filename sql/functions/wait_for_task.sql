create or replace function tasker.wait_for_task(task_id bigint, timeout interval default '10 seconds', out state text, out results jsonb)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  stop_at    constant timestamptz := clock_timestamp() + wait_for_task.timeout;
  generation bigint;
  created_by xid;
  finished   boolean;
  left_ms    integer;
begin
  if tasker._is_limited('{requester}') then
    perform tasker._check_tasks('{requester}', array[wait_for_task.task_id]);
  end if;

  loop
    generation := tasker._generation(0);
    select t.state, t.finished_at is not null, t.xmin into wait_for_task.state, finished, created_by
    from tasker.tasks t
    where t.task_id = wait_for_task.task_id;
    if not found then
      perform tasker._raise_no_task(wait_for_task.task_id);
    end if;
    exit when finished;
    if tasker._is_own_xid(created_by) then
      raise exception using
        errcode = 'object_not_in_prerequisite_state',
        message = format('task %s is not committed: nobody else can see it', wait_for_task.task_id),
        hint = 'Commit first, then wait.';
    end if;
    left_ms := ceil(extract(epoch from stop_at - clock_timestamp()) * 1000);
    exit when left_ms <= 0 or current_setting('transaction_isolation') not in ('read committed', 'read uncommitted');
    perform tasker._wait_for_wake(0, generation, least(left_ms, 1000));
  end loop;

  if finished then
    select jsonb_object_agg(ts.name, s.results) into wait_for_task.results
    from tasker.steps s
    join tasker.template_steps ts on ts.template_step_id = s.template_step_id
    where s.step_id between wait_for_task.task_id << 16 and (wait_for_task.task_id << 16) + 65535;
  end if;
end $$;
comment on function tasker.wait_for_task is
  'Waits until a task is over, up to timeout. Returns its state and, when it is over, the results of its steps by name; after the timeout the state as it is, and NULL. Raises 42704 for an unknown task, 55000 when the task was requested in this very transaction.';
