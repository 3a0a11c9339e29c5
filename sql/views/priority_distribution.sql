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
