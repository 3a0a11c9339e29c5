-- The first of the views: escalated_tasks reads it. No view shows payloads (contexts, results, messages): tasker_monitor
-- may read them all. Ages and due times are by tasker.clock(), ages of messages by the server's clock, and nothing here
-- writes: all of it works on a read-only standby.

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
    when w.claim_expires_at <= now.at then 'stale'
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
