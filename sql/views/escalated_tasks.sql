-- Priority has risen by 1 when age is T / (6 - p), so what has escalated is the head of each line: it is read from there,
-- by the index, and not computed for all that waits. A limit that is always NULL is none, but the planner takes it for a
-- tenth, and so reads the line in order; left alone it makes a bitmap of all before the first row (100 of 280,000: 160 ms,
-- so 0.3). Held work has its own index.
create view tasker.escalated_tasks as
select
  w.task_id,
  w.step_id,
  n.name as namespace,
  tt.name,
  ts.name as step_name,
  c.priority,
  w.computed_priority,
  w.computed_priority - c.priority as escalation,
  w.since,
  now.at - w.since as age,
  case
    when w.claimed_by is null then 'free'
    when w.fault is not null then 'set aside'
    when w.claim_expires_at <= now.at then 'stale'
    else 'claimed'
  end as claim_status
from (select tasker.clock() as at) now
cross join tasker.namespaces n
join tasker.task_templates tt on tt.namespace_id = n.namespace_id
cross join (values
  (0::smallint, interval '30 s'), (1::smallint, interval '60 s'), (2::smallint, interval '120 s'), (3::smallint, interval '180 s'),
  (4::smallint, interval '300 s')
) c(priority, rises_after)
cross join lateral (
  (select w.task_id, w.step_id, w.since, w.claimed_by, w.claim_expires_at, w.fault,
    tasker._computed_priority(c.priority, w.since, now.at) as computed_priority
  from tasker.waiting w
  where w.namespace_id = n.namespace_id and w.template_id = tt.template_id and w.priority = c.priority
    and w.claimed_by is null and w.since <= now.at - c.rises_after
  order by w.since, w.task_id, w.step_id
  limit nullif(c.priority, c.priority))
  union all
  (select w.task_id, w.step_id, w.since, w.claimed_by, w.claim_expires_at, w.fault,
    tasker._computed_priority(c.priority, w.since, now.at) as computed_priority
  from tasker.waiting w
  where w.namespace_id = n.namespace_id and w.template_id = tt.template_id and w.priority = c.priority
    and w.claimed_by is not null and w.since <= now.at - c.rises_after
  order by w.since, w.task_id, w.step_id
  limit nullif(c.priority, c.priority))
) w
left join tasker.template_steps ts
  on ts.template_id = tt.template_id and ts.step_index = (w.step_id & 65535)::integer - 1;
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
