-- Tasks past lifecycle.max_duration_minutes are stopped and end in error. One whose last step this very pass has
-- settled (active_steps = 0) made it in time.
create or replace function tasker._fire_deadlines(pass tasker._pass, task_ids bigint[], at timestamptz)
returns tasker._pass
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  held bigint[];
begin
  select array_agg(t.task_id) into held
  from (
    select t.task_id
    from tasker.tasks t
    where t.task_id = any(_fire_deadlines.task_ids) and t.state = 'in_progress' and t.active_steps > 0
    order by t.task_id
    for no key update skip locked
  ) t;

  if held is not null then
    insert into tasker.dead_letters (task_id, reason, snapshot, created_at)
    select t.task_id, 'deadline',
      jsonb_build_object('started_at', t.started_at, 'active_steps', t.active_steps, 'error_steps', t.error_steps), at
    from tasker.tasks t
    where t.task_id = any(held) and t.stopping is null;
    perform tasker._close_stuck(held, at);
    pass.over := pass.over || tasker._stop_tasks(held, 'deadline: the task has run longer than its template allows', at);
  end if;

  insert into tasker.timers (fire_at, kind, task_id)
  select at + interval '50 milliseconds', 'deadline', t.task_id
  from tasker.tasks t
  where t.task_id = any(_fire_deadlines.task_ids) and t.state = 'in_progress' and t.active_steps > 0
    and t.task_id <> all(coalesce(held, '{}'));
  if found then
    pass.next_due_at := least(pass.next_due_at, at + interval '50 milliseconds');
  end if;
  return pass;
end $$;
