create view tasker.queue_status as
select
  q.queue_name,
  n.name as namespace,
  q.is_there,
  q.depth,
  q.visible,
  clock_timestamp() - q.oldest_enqueued_at as oldest_message_age,
  case when w.is_for_work then coalesce(f.steps, 0) end as in_flight,
  case when w.is_for_work then n.max_in_flight end as max_in_flight,
  case when w.is_for_work then n.paused end as paused,
  q.estimated
from tasker._queue_depths() q
left join tasker.namespaces n on n.namespace_id = q.namespace_id
cross join lateral (select q.queue_name = n.name || '_queue' as is_for_work) w
left join (
  select d.namespace_id, sum(d.delta) as steps
  from tasker.in_flight_deltas d
  group by d.namespace_id
) f on f.namespace_id = n.namespace_id;
comment on view tasker.queue_status is
  'The two orchestration queues, the queue of each namespace, and its queue of events where there is one. Counts the first 10,000 messages of each and estimates what is beyond.';
comment on column tasker.queue_status.queue_name is 'Name of the queue for pgmq''s functions.';
comment on column tasker.queue_status.namespace is 'The namespace that it belongs to; NULL for the orchestration queues.';
comment on column tasker.queue_status.is_there is 'Whether the queue exists.';
comment on column tasker.queue_status.depth is 'Messages in it, visible or not; NULL when it does not exist.';
comment on column tasker.queue_status.visible is 'Messages that a worker could take now.';
comment on column tasker.queue_status.oldest_message_age is 'Age of the oldest message.';
comment on column tasker.queue_status.in_flight is 'Steps of the namespace in the queue or at workers; NULL for queues that hold no steps, as the next two.';
comment on column tasker.queue_status.max_in_flight is 'How many steps may be in flight; NULL = no limit.';
comment on column tasker.queue_status.paused is 'Whether the namespace is paused: nothing is enqueued.';
comment on column tasker.queue_status.estimated is 'Whether depth and visible are estimates from a sample: beyond 10,000 messages they are.';
