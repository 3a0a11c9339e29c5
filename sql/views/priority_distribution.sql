create view tasker.priority_distribution as
select
  n.name as namespace,
  w.priority,
  (array['background', 'low', 'normal', 'high', 'urgent'])[w.priority + 1] as class,
  w.tasks as waiting_tasks,
  w.steps as waiting_steps,
  tasker._computed_priority(w.priority, w.newest_since, now.at) as lowest_computed_priority,
  w.computed_priority as average_computed_priority,
  tasker._computed_priority(w.priority, w.oldest_since, now.at) as highest_computed_priority,
  now.at - w.oldest_since as oldest_age,
  w.estimated
from (select tasker.clock() as at) now
cross join lateral tasker._waiting_work(now.at) w
join tasker.namespaces n on n.namespace_id = w.namespace_id;
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
comment on column tasker.priority_distribution.estimated is 'Whether the two numbers and the average are estimates from a sample: some 10,000 are counted, beyond that a long line is estimated. The rest is exact.';
