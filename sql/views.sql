-- What there is to look at. No view shows payloads (contexts, results, messages): tasker_monitor may read them all. Ages
-- and due times are by tasker.clock(), ages of messages by the server's clock, and nothing here writes: all of it works
-- on a read-only standby.

create view tasker.ready_tasks as
select
  w.task_id,
  w.step_id,
  n.name as namespace,
  tt.name,
  tt.version,
  ts.name as step_name,
  case when w.step_id is null then 'task to start' else 'ready step' end as readiness,
  w.priority,
  tasker._computed_priority(w.priority, w.since, now.at) as computed_priority,
  w.since,
  now.at - w.since as age,
  case
    when w.claimed_by is null then 'free'
    when w.fault is not null then 'set aside'
    when w.claim_expires_at < now.at then 'stale'
    else 'claimed'
  end as claim_status,
  w.claimed_by,
  w.claim_expires_at,
  w.fault,
  n.paused as namespace_paused
from (select tasker.clock() as at) now
cross join tasker.waiting w
join tasker.namespaces n on n.namespace_id = w.namespace_id
join tasker.task_templates tt on tt.template_id = w.template_id
left join tasker.template_steps ts
  on ts.template_id = w.template_id and ts.step_index = (w.step_id & 65535)::integer - 1;
comment on view tasker.ready_tasks is
  'Work that waits: tasks that have not started and ready steps that found no room, with their priority, claims and ages. What is ready and not listed here is in flight already.';
comment on column tasker.ready_tasks.task_id is 'The task.';
comment on column tasker.ready_tasks.step_id is 'The ready step; NULL for a task that has not started.';
comment on column tasker.ready_tasks.namespace is 'Namespace of the template.';
comment on column tasker.ready_tasks.name is 'Name of the template.';
comment on column tasker.ready_tasks.version is 'Version of the template.';
comment on column tasker.ready_tasks.step_name is 'Name of the ready step; NULL for a task that has not started.';
comment on column tasker.ready_tasks.readiness is 'task to start or ready step.';
comment on column tasker.ready_tasks.priority is 'Class asked for: 0 background, 1 low, 2 normal, 3 high, 4 urgent.';
comment on column tasker.ready_tasks.computed_priority is 'Priority after waiting, from the class up to 6; the highest goes first.';
comment on column tasker.ready_tasks.since is 'Since when it waits; the steps of a started task inherit it from the task.';
comment on column tasker.ready_tasks.age is 'How long it has waited.';
comment on column tasker.ready_tasks.claim_status is 'free; claimed by an orchestrator outside; stale: claimed, beyond its time; set aside because of its fault.';
comment on column tasker.ready_tasks.claimed_by is 'The orchestrator outside that holds it.';
comment on column tasker.ready_tasks.claim_expires_at is 'When the claim ends, or what was set aside is tried again.';
comment on column tasker.ready_tasks.fault is 'Why it could not be enqueued.';
comment on column tasker.ready_tasks.namespace_paused is 'Whether its namespace is paused: then it waits for resume_namespace().';

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
  where s.step_id between t.task_id << 16 and (t.task_id << 16) + 65535
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
  s.reported_at,
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

create view tasker.queue_status as
select
  q.queue_name,
  n.name as namespace,
  q.is_there,
  q.depth,
  q.visible,
  clock_timestamp() - q.oldest_enqueued_at as oldest_message_age,
  case when n.namespace_id is not null then coalesce(f.steps, 0) end as in_flight,
  n.max_in_flight,
  n.paused
from tasker._queue_depths() q
left join tasker.namespaces n on n.namespace_id = q.namespace_id
left join (
  select d.namespace_id, sum(d.delta) as steps
  from tasker.in_flight_deltas d
  group by d.namespace_id
) f on f.namespace_id = n.namespace_id;
comment on view tasker.queue_status is
  'The two orchestration queues and the queue of each namespace. Counts messages: cost grows with depth and dead rows.';
comment on column tasker.queue_status.queue_name is 'Name of the queue for pgmq''s functions.';
comment on column tasker.queue_status.namespace is 'The namespace that it belongs to; NULL for the orchestration queues.';
comment on column tasker.queue_status.is_there is 'Whether the queue exists.';
comment on column tasker.queue_status.depth is 'Messages in it, visible or not; NULL when it does not exist.';
comment on column tasker.queue_status.visible is 'Messages that a worker could take now.';
comment on column tasker.queue_status.oldest_message_age is 'Age of the oldest message.';
comment on column tasker.queue_status.in_flight is 'Steps of the namespace in the queue or at workers.';
comment on column tasker.queue_status.max_in_flight is 'How many steps may be in flight; NULL = no limit.';
comment on column tasker.queue_status.paused is 'Whether the namespace is paused: nothing is enqueued.';

create view tasker.namespace_status as
select
  n.namespace_id,
  n.name as namespace,
  n.description,
  case
    when n.paused then 'paused'
    when n.fault_until > now.at then 'set aside'
    when coalesce(f.steps, 0) >= n.max_in_flight then 'full'
    else 'open'
  end as status,
  n.paused,
  n.max_in_flight,
  coalesce(f.steps, 0) as in_flight,
  case when n.max_in_flight is not null then greatest(n.max_in_flight - coalesce(f.steps, 0), 0) end as room,
  coalesce(w.tasks, 0) as waiting_tasks,
  coalesce(w.steps, 0) as waiting_steps,
  coalesce(w.claimed, 0) as claimed,
  coalesce(w.set_aside, 0) as set_aside,
  now.at - w.oldest_since as oldest_waiting_age,
  coalesce(tt.templates, 0) as templates,
  n.fault,
  n.fault_until,
  n.created_at
from (select tasker.clock() as at) now
cross join tasker.namespaces n
left join (
  select d.namespace_id, sum(d.delta) as steps
  from tasker.in_flight_deltas d
  group by d.namespace_id
) f on f.namespace_id = n.namespace_id
left join (
  select
    w.namespace_id,
    count(*) filter (where w.step_id is null) as tasks,
    count(*) filter (where w.step_id is not null) as steps,
    count(*) filter (where w.claimed_by is not null and w.fault is null) as claimed,
    count(*) filter (where w.fault is not null) as set_aside,
    min(w.since) as oldest_since
  from tasker.waiting w
  group by w.namespace_id
) w on w.namespace_id = n.namespace_id
left join (
  select tt.namespace_id, count(*) as templates
  from tasker.task_templates tt
  where tt.retired_at is null
  group by tt.namespace_id
) tt on tt.namespace_id = n.namespace_id;
comment on view tasker.namespace_status is
  'Namespaces, one row each: limits, what is in flight and what waits.';
comment on column tasker.namespace_status.namespace_id is 'The namespace.';
comment on column tasker.namespace_status.namespace is 'Its name.';
comment on column tasker.namespace_status.description is 'What it is for, as create_namespace() was told.';
comment on column tasker.namespace_status.status is 'open; full: at its limit; paused; set aside: nothing could be enqueued, see fault.';
comment on column tasker.namespace_status.paused is 'Whether it is paused: nothing is enqueued until resume_namespace().';
comment on column tasker.namespace_status.max_in_flight is 'How many steps may be in flight; NULL = no limit.';
comment on column tasker.namespace_status.in_flight is 'Steps in the queue or at workers.';
comment on column tasker.namespace_status.room is 'How many more may be enqueued; NULL = no limit.';
comment on column tasker.namespace_status.waiting_tasks is 'Tasks that have not started, delayed ones not counted.';
comment on column tasker.namespace_status.waiting_steps is 'Ready steps that found no room.';
comment on column tasker.namespace_status.claimed is 'Waiting work that orchestrators outside hold.';
comment on column tasker.namespace_status.set_aside is 'Waiting work that could not be enqueued, each with its fault in ready_tasks.';
comment on column tasker.namespace_status.oldest_waiting_age is 'How long the oldest of it has waited.';
comment on column tasker.namespace_status.templates is 'Templates that are not retired, all versions.';
comment on column tasker.namespace_status.fault is 'Why nothing could be enqueued here.';
comment on column tasker.namespace_status.fault_until is 'When that is tried again.';
comment on column tasker.namespace_status.created_at is 'When the namespace was made.';

create view tasker.priority_distribution as
select
  n.name as namespace,
  w.priority,
  (array['background', 'low', 'normal', 'high', 'urgent'])[w.priority + 1] as class,
  count(*) filter (where w.step_id is null) as waiting_tasks,
  count(*) filter (where w.step_id is not null) as waiting_steps,
  min(tasker._computed_priority(w.priority, w.since, now.at)) as lowest_computed_priority,
  avg(tasker._computed_priority(w.priority, w.since, now.at)) as average_computed_priority,
  max(tasker._computed_priority(w.priority, w.since, now.at)) as highest_computed_priority,
  max(now.at - w.since) as oldest_age
from (select tasker.clock() as at) now
cross join tasker.waiting w
join tasker.namespaces n on n.namespace_id = w.namespace_id
group by n.name, w.priority;
comment on view tasker.priority_distribution is
  'What waits, by namespace and priority class. Classes without waiting work have no row.';
comment on column tasker.priority_distribution.namespace is 'The namespace.';
comment on column tasker.priority_distribution.priority is 'Priority class, 0 to 4.';
comment on column tasker.priority_distribution.class is 'Its name: background, low, normal, high or urgent.';
comment on column tasker.priority_distribution.waiting_tasks is 'Tasks that have not started.';
comment on column tasker.priority_distribution.waiting_steps is 'Ready steps that found no room.';
comment on column tasker.priority_distribution.lowest_computed_priority is 'Computed priority of the last in line.';
comment on column tasker.priority_distribution.average_computed_priority is 'Average of the computed priorities.';
comment on column tasker.priority_distribution.highest_computed_priority is 'Computed priority of the first in line.';
comment on column tasker.priority_distribution.oldest_age is 'How long the oldest has waited.';

create view tasker.escalated_tasks as
select
  r.task_id,
  r.step_id,
  r.namespace,
  r.name,
  r.step_name,
  r.priority,
  r.computed_priority,
  r.computed_priority - r.priority as escalation,
  r.since,
  r.age,
  r.claim_status
from tasker.ready_tasks r
where r.computed_priority >= r.priority + 1;
comment on view tasker.escalated_tasks is
  'Waiting work whose priority has risen by a whole class or more because it has waited so long.';
comment on column tasker.escalated_tasks.task_id is 'The task.';
comment on column tasker.escalated_tasks.step_id is 'The ready step; NULL for a task that has not started.';
comment on column tasker.escalated_tasks.namespace is 'Namespace of the template.';
comment on column tasker.escalated_tasks.name is 'Name of the template.';
comment on column tasker.escalated_tasks.step_name is 'Name of the ready step; NULL for a task that has not started.';
comment on column tasker.escalated_tasks.priority is 'Class asked for, 0 to 4.';
comment on column tasker.escalated_tasks.computed_priority is 'Priority after waiting.';
comment on column tasker.escalated_tasks.escalation is 'By how much it has risen, at least 1.';
comment on column tasker.escalated_tasks.since is 'Since when it waits.';
comment on column tasker.escalated_tasks.age is 'How long it has waited.';
comment on column tasker.escalated_tasks.claim_status is 'free, claimed, stale or set aside, as in ready_tasks.';

create view tasker.stale_claims as
select
  w.task_id,
  w.step_id,
  n.name as namespace,
  tt.name,
  w.claimed_by,
  w.claim_expires_at,
  now.at - w.claim_expires_at as overdue,
  w.fault
from (select tasker.clock() as at) now
join tasker.waiting w on w.claim_expires_at < now.at
join tasker.namespaces n on n.namespace_id = w.namespace_id
join tasker.task_templates tt on tt.template_id = w.template_id
where w.claimed_by is not null
union all
-- A claim on a task of which nothing waits (any more).
select
  c.task_id,
  null,
  n.name,
  tt.name,
  c.claimed_by,
  c.expires_at,
  now.at - c.expires_at,
  null
from (select tasker.clock() as at) now
join tasker.claims c on c.expires_at < now.at
join tasker.tasks t on t.task_id = c.task_id
join tasker.namespaces n on n.namespace_id = t.namespace_id
join tasker.task_templates tt on tt.template_id = t.template_id
where not exists (select from tasker.waiting w where w.task_id = c.task_id and w.claimed_by = c.claimed_by);
comment on view tasker.stale_claims is
  'Claims of orchestrators outside, and work set aside, that are beyond their time: the engine''s next pass gives them back. A row for each piece of work that waits under the claim, or one for the claim when nothing does.';
comment on column tasker.stale_claims.task_id is 'The task.';
comment on column tasker.stale_claims.step_id is 'The ready step; NULL for a task that has not started, and for a claim under which nothing waits.';
comment on column tasker.stale_claims.namespace is 'Namespace of the template.';
comment on column tasker.stale_claims.name is 'Name of the template.';
comment on column tasker.stale_claims.claimed_by is 'The orchestrator that holds it.';
comment on column tasker.stale_claims.claim_expires_at is 'When the claim ended.';
comment on column tasker.stale_claims.overdue is 'How long ago that was.';
comment on column tasker.stale_claims.fault is 'Why it was set aside; NULL for a claim.';

create view tasker.dead_letter_summary as
select
  d.reason,
  count(*) as open,
  min(d.created_at) as oldest_at,
  max(d.created_at) as newest_at,
  now.at - min(d.created_at) as oldest_age,
  now.at - max(d.created_at) as newest_age
from (select tasker.clock() as at) now
cross join tasker.dead_letters d
where d.resolved_at is null
group by d.reason, now.at;
comment on view tasker.dead_letter_summary is
  'Open dead letters by reason; a reason without any has no row. Reads the index of the open ones: cost grows with these alone, not with those resolved.';
comment on column tasker.dead_letter_summary.reason is 'retries_exhausted: a step failed as often as it may be tried; not_retryable: a step failed for good; deadline: a task ran longer than its template allows.';
comment on column tasker.dead_letter_summary.open is 'Dead letters that nobody has resolved.';
comment on column tasker.dead_letter_summary.oldest_at is 'When the oldest of them came up.';
comment on column tasker.dead_letter_summary.newest_at is 'When the newest of them came up.';
comment on column tasker.dead_letter_summary.oldest_age is 'How long the oldest has been open.';
comment on column tasker.dead_letter_summary.newest_age is 'How long the newest has been open.';

create view tasker.open_dead_letters as
select
  d.dead_letter_id,
  d.task_id,
  d.step_id,
  n.name as namespace,
  tt.name,
  tt.version,
  ts.name as step_name,
  d.reason,
  (d.snapshot ->> 'attempts')::integer as attempts,
  d.created_at,
  now.at - d.created_at as age
from (select tasker.clock() as at) now
cross join tasker.dead_letters d
join tasker.tasks t on t.task_id = d.task_id
join tasker.task_templates tt on tt.template_id = t.template_id
join tasker.namespaces n on n.namespace_id = t.namespace_id
left join tasker.template_steps ts
  on ts.template_id = t.template_id and ts.step_index = (d.step_id & 65535)::integer - 1
where d.resolved_at is null;
comment on view tasker.open_dead_letters is
  'Dead letters that nobody has resolved, one row each, without the errors, which may hold data. Deal with them by retry_step(), resolve_step() or retry_task(), or note with resolve_dead_letter(dead_letter_id, ...) that it is done. Cost grows with the open ones alone.';
comment on column tasker.open_dead_letters.dead_letter_id is 'The dead letter, for resolve_dead_letter().';
comment on column tasker.open_dead_letters.task_id is 'The task.';
comment on column tasker.open_dead_letters.step_id is 'The step that failed; NULL for a task past its deadline.';
comment on column tasker.open_dead_letters.namespace is 'Namespace of the template.';
comment on column tasker.open_dead_letters.name is 'Name of the template.';
comment on column tasker.open_dead_letters.version is 'Version of the template.';
comment on column tasker.open_dead_letters.step_name is 'Name of the step; NULL for a task past its deadline.';
comment on column tasker.open_dead_letters.reason is 'retries_exhausted, not_retryable or deadline, as in dead_letter_summary.';
comment on column tasker.open_dead_letters.attempts is 'How often the step had been tried by then; NULL for a task past its deadline.';
comment on column tasker.open_dead_letters.created_at is 'When it came up.';
comment on column tasker.open_dead_letters.age is 'How long it has been open.';

create view tasker.rejected_message_summary as
select
  r.queue_name,
  count(*) as messages,
  min(r.rejected_at) as oldest_at,
  max(r.rejected_at) as newest_at,
  now.at - min(r.rejected_at) as oldest_age
from (select tasker.clock() as at) now
cross join tasker.rejected_messages r
group by r.queue_name, now.at;
comment on view tasker.rejected_message_summary is
  'Messages that could not be used, by the queue that they came from. Cost grows with their number: requeue_rejected_message() and discard_rejected_message() remove them.';
comment on column tasker.rejected_message_summary.queue_name is 'Queue from which they were taken.';
comment on column tasker.rejected_message_summary.messages is 'How many there are.';
comment on column tasker.rejected_message_summary.oldest_at is 'When the oldest was rejected.';
comment on column tasker.rejected_message_summary.newest_at is 'When the newest was rejected.';
comment on column tasker.rejected_message_summary.oldest_age is 'How long ago the oldest was rejected.';

create view tasker.role_grants as
select
  r.rolname as role,
  g.granted,
  g.namespace,
  g.plain,
  n.namespace_id is not null as namespace_exists,
  g.granted_at,
  g.granted_by
from tasker.namespace_grants g
join pg_roles r on r.oid = g.role
left join tasker.namespaces n on n.name = g.namespace;
comment on view tasker.role_grants is
  'Roles whose rights are limited to namespaces, one row for each right and namespace. Members of tasker_worker and its kin are not in it: they have their rights everywhere.';
comment on column tasker.role_grants.role is 'The role. Its members have the right too.';
comment on column tasker.role_grants.granted is 'worker, requester or author.';
comment on column tasker.role_grants.namespace is 'For which namespace.';
comment on column tasker.role_grants.plain is 'Whether a worker may also use plain pgmq: read the namespace''s queue, and send results (of any namespace).';
comment on column tasker.role_grants.namespace_exists is 'Whether the namespace exists; an author may be granted one that it is to create.';
comment on column tasker.role_grants.granted_at is 'When it was granted first.';
comment on column tasker.role_grants.granted_by is 'By which session user.';

create view tasker.orchestrator_status as
select
  current_database() as database,
  e.preloaded,
  e.enabled,
  e.identity,
  o.worker,
  nullif(o.pid, 0) as pid,
  o.state,
  j.situation,
  a.advice,
  o.started_at,
  o.last_pass_at,
  o.passes,
  o.accepted,
  o.settled,
  o.late,
  o.rejected,
  o.fired,
  o.started,
  o.enqueued,
  o.finished,
  o.errors,
  o.last_error,
  o.last_error_at
from (
  select
    tasker._preloaded() as preloaded,
    tasker._setting('enabled')::boolean as enabled,
    string_to_array(nullif(replace(tasker._setting('databases'), ' ', ''), ''), ',') as databases,
    case tasker._identity_is_ours() when true then 'ours' when false then 'copy' else 'none yet' end as identity,
    make_interval(secs => 10 + tasker._setting('cycle_interval')::double precision / 100) as patience
) e
left join (
  select s.*
  from tasker._orchestrator_slots() s
  join pg_database d on d.oid = s.database
  where d.datname = current_database()
) o on true
cross join lateral (
  select case
    when not e.preloaded then 'not preloaded'
    when pg_is_in_recovery() then 'standby'
    when not e.enabled then 'switched off'
    when current_database() <> all(e.databases) then 'not served'
    when e.identity = 'copy' then 'copy'
    when e.identity = 'none yet' then 'nothing registered'
    when coalesce(o.pid, 0) = 0 then 'not running'
    when o.last_error_at > coalesce(o.last_pass_at, '-infinity') then 'failing'
    when o.last_pass_at < clock_timestamp() - e.patience then 'silent'
    else 'running'
  end as situation
) j
left join (values
  ('not preloaded', 'No background worker can run. Call tasker.orchestrate() by hand or by pg_cron, or add tasker_pg to shared_preload_libraries and restart the server.'),
  ('standby', 'The orchestrator starts after promotion.'),
  ('switched off', 'tasker.enabled is off. Set it to on and reload, or call tasker.orchestrate() by hand.'),
  ('not served', 'tasker.databases names others only. Add this one, or leave it empty for all, and reload.'),
  ('copy', 'The engine belongs to another database. When that runs no more, or this one is to work on its own, call tasker.take_over().'),
  ('nothing registered', 'Register a template with tasker.register_template().'),
  ('not running', 'It starts within a minute; if it does not, the server log says why.'),
  ('failing', 'Its last pass failed; last_error says why. It tries again by itself, a little later each time.'),
  ('silent', 'Its last pass is long ago; pg_stat_activity shows what it is doing.')
) a(situation, advice) on a.situation = j.situation;
comment on view tasker.orchestrator_status is
  'The orchestrators of this database, one row each; one row without worker and pid when none runs. situation says how it stands, advice what to do about it.';
comment on column tasker.orchestrator_status.database is 'This database.';
comment on column tasker.orchestrator_status.preloaded is 'Whether tasker_pg is in shared_preload_libraries: only then background workers run.';
comment on column tasker.orchestrator_status.enabled is 'The setting tasker.enabled.';
comment on column tasker.orchestrator_status.identity is 'ours: the engine belongs to this database; copy: it belongs to another, so that nothing runs here until take_over(); none yet.';
comment on column tasker.orchestrator_status.worker is 'Number of the orchestrator, from 0.';
comment on column tasker.orchestrator_status.pid is 'Process id of the orchestrator.';
comment on column tasker.orchestrator_status.state is 'What it is doing.';
comment on column tasker.orchestrator_status.situation is 'running when all is well; else not preloaded, standby, switched off, not served, copy, nothing registered, not running, failing or silent.';
comment on column tasker.orchestrator_status.advice is 'What to do about it; NULL when it is running.';
comment on column tasker.orchestrator_status.started_at is 'When the process started.';
comment on column tasker.orchestrator_status.last_pass_at is 'When its last pass ended.';
comment on column tasker.orchestrator_status.passes is 'Passes since it started.';
comment on column tasker.orchestrator_status.accepted is 'Task requests taken from the queue since it started.';
comment on column tasker.orchestrator_status.settled is 'Results settled.';
comment on column tasker.orchestrator_status.late is 'Results that came too late or twice.';
comment on column tasker.orchestrator_status.rejected is 'Messages put into rejected_messages.';
comment on column tasker.orchestrator_status.fired is 'Timers fired.';
comment on column tasker.orchestrator_status.started is 'Tasks started.';
comment on column tasker.orchestrator_status.enqueued is 'Steps enqueued.';
comment on column tasker.orchestrator_status.finished is 'Tasks finished.';
comment on column tasker.orchestrator_status.errors is 'Passes that failed.';
comment on column tasker.orchestrator_status.last_error is 'Message of the last failure.';
comment on column tasker.orchestrator_status.last_error_at is 'When that was.';
