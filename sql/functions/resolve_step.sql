create or replace function tasker.resolve_step(step_id bigint, results jsonb default null, reason text default null)
returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  at        constant timestamptz := tasker.clock();
  held      record;
  step      tasker.steps;
  task      tasker.tasks;
  ready     bigint[];
  was_ready boolean;
begin
  perform tasker._check_length('reason', resolve_step.reason, 1024);
  if pg_column_size(resolve_step.results) > tasker._setting('max_payload_bytes')::integer then
    raise exception using errcode = 'program_limit_exceeded',
      message = format('the results have more than %s bytes', tasker._setting('max_payload_bytes')),
      detail = 'That is tasker.max_payload_bytes.',
      hint = 'Store them elsewhere, and say where.';
  end if;
  select * into held from tasker._lock_step(resolve_step.step_id);
  step := held.step;
  task := held.task;
  if step.state not in ('pending', 'enqueued', 'in_progress', 'waiting_for_retry', 'error')
    or step.reported_at is not null and step.state in ('enqueued', 'in_progress')
    or task.state not in ('error', 'in_progress') then
    raise exception using
      errcode = 'object_not_in_prerequisite_state',
      message = format('step %s is %s%s, its task %s', resolve_step.step_id, step.state,
        case when step.reported_at is not null and step.state in ('enqueued', 'in_progress') then ' and reported' else '' end,
        task.state),
      hint = 'What is over, or reported already, cannot be resolved by hand.';
  end if;
  -- A task that had stopped, or ended in error, goes on; this step among those that are over.
  if task.state = 'error' or task.stopping is not null then
    perform tasker._reopen_task(task.task_id, '{}', resolve_step.reason, at);
    select s.* into step from tasker.steps s where s.step_id = resolve_step.step_id;
  end if;
  was_ready := step.state = 'pending' and step.remaining_parents = 0;

  update tasker.steps s
  set state = 'resolved_manually', results = resolve_step.results, finished_at = at, next_retry_at = null
  where s.step_id = resolve_step.step_id;
  insert into tasker.step_transitions (step_id, created_at, attempt, from_state, to_state, actor, metadata)
  values (resolve_step.step_id, at, step.attempts, step.state, 'resolved_manually',
    session_user, jsonb_build_object('reason', resolve_step.reason));
  update tasker.dead_letters d
  set resolved_at = at, resolution = 'resolved_manually', notes = resolve_step.reason, resolved_by = session_user
  where d.task_id = task.task_id and d.step_id = resolve_step.step_id and d.resolved_at is null;
  perform tasker._close_stuck(array[task.task_id], at);
  delete from tasker.waiting w where w.task_id = task.task_id and w.step_id = resolve_step.step_id;
  if step.state in ('enqueued', 'in_progress') then
    perform tasker._landed(array[resolve_step.step_id]);
    perform tasker._withdraw_messages(array[resolve_step.step_id], array[step.msg_id]);
  end if;

  perform tasker._publish_step_ends(array[resolve_step.step_id], at);

  -- _release_children counts a step that was active; one that was not is made up for.
  update tasker.tasks t
  set active_steps = t.active_steps
      + case when was_ready or step.state in ('enqueued', 'in_progress', 'waiting_for_retry') then 0 else 1 end,
    error_steps = t.error_steps - case when step.state = 'error' then 1 else 0 end
  where t.task_id = task.task_id;
  perform from tasker.steps s
  where s.step_id in (
    select (task.task_id << 16) + 1 + d.child_index
    from tasker.template_dependencies d
    where d.template_id = task.template_id and d.parent_index = (resolve_step.step_id & 65535)::integer - 1)
  order by s.step_id
  for no key update;
  ready := tasker._release_children(resolve_step.step_id, task.template_id);
  if ready is not null then
    perform tasker._park(ready, at);
  end if;
  perform tasker._finish_if_over(task.task_id, at);
  perform tasker._wake();
end $$;
comment on function tasker.resolve_step is
  'Takes a step that is not over for done by a person, with these results; its children go on, its task too when it was in error. An attempt in flight is superseded. Raises 42704 for an unknown step, 55000 when the step is over or reported, or its task was cancelled or is complete, 54000 for results beyond tasker.max_payload_bytes, 22023 for a reason of more than 1,024 characters.';
