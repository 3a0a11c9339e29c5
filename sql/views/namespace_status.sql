create view tasker.namespace_status as
-- Materialized, since as the inner side of a loop it would be computed for each namespace.
with waiting as materialized (
  select
    w.namespace_id,
    sum(w.tasks)::bigint as tasks,
    sum(w.steps)::bigint as steps,
    sum(w.claimed)::bigint as claimed,
    sum(w.set_aside)::bigint as set_aside,
    min(w.oldest_since) as oldest_since,
    bool_or(w.estimated) as estimated
  from tasker._waiting_work(tasker.clock()) w
  group by w.namespace_id
)
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
  n.created_at,
  coalesce(w.estimated, false) as estimated
from (select tasker.clock() as at) now
cross join tasker.namespaces n
left join (
  select d.namespace_id, sum(d.delta) as steps
  from tasker.in_flight_deltas d
  group by d.namespace_id
) f on f.namespace_id = n.namespace_id
left join waiting w on w.namespace_id = n.namespace_id
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
comment on column tasker.namespace_status.estimated is 'Whether the numbers of what waits are estimates from a sample, as they are in long lines; see priority_distribution. The age is exact.';
