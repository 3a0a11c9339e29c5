create view tasker.task_status as
select
  t.task_id,
  t.template_id,
  n.name as namespace,
  tt.name,
  tt.version,
  t.state,
  t.stopping,
  t.priority,
  tt.step_count as total_steps,
  c.pending as pending_steps,
  c.in_flight as in_flight_steps,
  c.waiting_for_retry as waiting_for_retry_steps,
  c.completed as completed_steps,
  c.failed as failed_steps,
  c.cancelled as cancelled_steps,
  t.correlation_id,
  t.parent_correlation_id,
  substr(t.identity_key, length(tt.name) + 2) as idempotency_key,
  t.initiator,
  t.source_system,
  t.reason,
  t.tags,
  t.run_at,
  t.created_at,
  t.started_at,
  t.finished_at,
  coalesce(t.finished_at, now.at) - t.created_at as age,
  coalesce(t.finished_at, now.at) - t.started_at as duration
from (select tasker.clock() as at) now
cross join tasker.tasks t
join tasker.task_templates tt on tt.template_id = t.template_id
join tasker.namespaces n on n.namespace_id = t.namespace_id
cross join lateral (
  select
    case when count(*) > 0 then count(*) filter (where s.state = 'pending')
      when t.state = 'pending' then tt.step_count else 0 end as pending,
    count(*) filter (where s.state in ('enqueued', 'in_progress')) as in_flight,
    count(*) filter (where s.state = 'waiting_for_retry') as waiting_for_retry,
    count(*) filter (where s.state in ('complete', 'resolved_manually', 'skipped')) as completed,
    count(*) filter (where s.state = 'error') as failed,
    case when count(*) > 0 then count(*) filter (where s.state = 'cancelled')
      when t.state = 'pending' then 0 else tt.step_count end as cancelled
  from tasker.steps s
  -- Id by id: of a range the planner thinks that it holds a share of the table, which beside ten million steps is worth
  -- compiling (jit) for 0.4 s.
  where s.step_id = any(array(select (t.task_id << 16) + i from generate_series(1, tt.step_count) i))
) c;
comment on view tasker.task_status is
  'Tasks, one row each, with the numbers of their steps. The numbers cost a look at the steps of each task shown: ask for few tasks at a time.';
comment on column tasker.task_status.task_id is 'The task.';
comment on column tasker.task_status.template_id is 'Its template.';
comment on column tasker.task_status.namespace is 'Namespace of the template.';
comment on column tasker.task_status.name is 'Name of the template.';
comment on column tasker.task_status.version is 'Version of the template.';
comment on column tasker.task_status.state is 'pending, in_progress, complete, error, cancelled or resolved_manually.';
comment on column tasker.task_status.stopping is 'Why nothing more of the task is tried; NULL = it goes on.';
comment on column tasker.task_status.priority is 'Class asked for: 0 background, 1 low, 2 normal, 3 high, 4 urgent.';
comment on column tasker.task_status.total_steps is 'Number of steps of the template.';
comment on column tasker.task_status.pending_steps is 'Steps whose parents are not done, or that wait for room.';
comment on column tasker.task_status.in_flight_steps is 'Steps enqueued or in progress.';
comment on column tasker.task_status.waiting_for_retry_steps is 'Steps that failed and will be tried again when their delay is over.';
comment on column tasker.task_status.completed_steps is 'Steps complete, resolved_manually or skipped.';
comment on column tasker.task_status.failed_steps is 'Steps in error.';
comment on column tasker.task_status.cancelled_steps is 'Steps cancelled.';
comment on column tasker.task_status.correlation_id is 'What the request belongs to.';
comment on column tasker.task_status.parent_correlation_id is 'What that was caused by.';
comment on column tasker.task_status.idempotency_key is 'Key of the request, unique for the template''s name.';
comment on column tasker.task_status.initiator is 'Who asked for it, as the request says.';
comment on column tasker.task_status.source_system is 'Where the request came from, as it says.';
comment on column tasker.task_status.reason is 'Why it was asked for, as the request says.';
comment on column tasker.task_status.tags is 'Tags of the request.';
comment on column tasker.task_status.run_at is 'Not to be started before; NULL = at once.';
comment on column tasker.task_status.created_at is 'When it was requested.';
comment on column tasker.task_status.started_at is 'When its steps were made.';
comment on column tasker.task_status.finished_at is 'When it ended.';
comment on column tasker.task_status.age is 'From the request until now, or until it ended.';
comment on column tasker.task_status.duration is 'From its start until now, or until it ended; NULL before the start.';
