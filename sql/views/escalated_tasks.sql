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
