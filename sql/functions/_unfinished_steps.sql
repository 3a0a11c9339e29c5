-- What a task waits for, for the snapshot of a dead letter: its steps that are not over, the first 20 of them.
create or replace function tasker._unfinished_steps(task_id bigint)
returns jsonb
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select jsonb_agg(
      jsonb_build_object('step_name', ts.name, 'state', s.state, 'attempts', s.attempts, 'enqueued_at', s.enqueued_at,
        'missing_parents', s.remaining_parents)
      order by s.step_id)
  from (
    select s.*
    from tasker.steps s
    where s.step_id between _unfinished_steps.task_id << 16 and (_unfinished_steps.task_id << 16) + 65535
      and s.state in ('pending', 'enqueued', 'in_progress', 'waiting_for_retry')
    order by s.step_id
    limit 20
  ) s
  join tasker.template_steps ts on ts.template_step_id = s.template_step_id
$$;
