create view tasker.step_status as
select
  s.step_id,
  s.task_id,
  n.name as namespace,
  tt.name as task_name,
  tt.version as task_version,
  ts.name as step_name,
  ts.step_index,
  ts.level,
  ts.type,
  s.state,
  s.remaining_parents,
  s.attempts,
  s.max_attempts,
  s.worker_id,
  s.msg_id,
  s.last_error ->> 'error_type' as error_type,
  s.enqueued_at,
  s.started_at,
  coalesce(s.reported_at, case when s.state = 'complete' then s.finished_at end) as reported_at,
  s.finished_at,
  s.last_failure_at,
  s.next_retry_at,
  s.backoff_request_seconds,
  case
    when s.state in ('enqueued', 'in_progress') then now.at
    when s.state = 'waiting_for_retry' then s.last_failure_at
    else s.finished_at
  end - coalesce(s.started_at, s.enqueued_at) as duration
from (select tasker.clock() as at) now
cross join tasker.tasks t
join tasker.steps s
  on s.task_id = t.task_id
  and s.step_id between t.task_id << 16 and (t.task_id << 16) + 65535
join tasker.template_steps ts on ts.template_step_id = s.template_step_id
join tasker.task_templates tt on tt.template_id = t.template_id
join tasker.namespaces n on n.namespace_id = t.namespace_id;
comment on view tasker.step_status is
  'Steps of started tasks, one row each. By task_id and by step_id it is an index scan.';
comment on column tasker.step_status.step_id is 'The step.';
comment on column tasker.step_status.task_id is 'Its task.';
comment on column tasker.step_status.namespace is 'Namespace of the template.';
comment on column tasker.step_status.task_name is 'Name of the template.';
comment on column tasker.step_status.task_version is 'Version of the template.';
comment on column tasker.step_status.step_name is 'Name of the step.';
comment on column tasker.step_status.step_index is 'Place of the step in its template, from 0.';
comment on column tasker.step_status.level is 'Length of the longest path from a step without parents.';
comment on column tasker.step_status.type is 'Type of the step.';
comment on column tasker.step_status.state is 'pending, enqueued, in_progress, complete, waiting_for_retry, error, cancelled, resolved_manually or skipped.';
comment on column tasker.step_status.remaining_parents is 'Parents that are not done; at 0 a pending step is ready.';
comment on column tasker.step_status.attempts is 'The attempt in flight, or the last one; 0 = never tried.';
comment on column tasker.step_status.max_attempts is 'All tries that it has, the first included.';
comment on column tasker.step_status.worker_id is 'The worker that has or had the attempt, when it said so.';
comment on column tasker.step_status.msg_id is 'The attempt''s message in the namespace''s queue.';
comment on column tasker.step_status.error_type is 'Type of the last error, as its worker named it.';
comment on column tasker.step_status.enqueued_at is 'When the attempt was enqueued.';
comment on column tasker.step_status.started_at is 'When a worker took the attempt; NULL for plain pgmq workers, which do not say.';
comment on column tasker.step_status.reported_at is 'When the attempt was reported.';
comment on column tasker.step_status.finished_at is 'When the step ended.';
comment on column tasker.step_status.last_failure_at is 'When an attempt last failed.';
comment on column tasker.step_status.next_retry_at is 'When the next attempt is due.';
comment on column tasker.step_status.backoff_request_seconds is 'Delay that a server asked for, in seconds.';
comment on column tasker.step_status.duration is 'Time of the current or last attempt, from its start, or from when it was enqueued if the start is not known.';
