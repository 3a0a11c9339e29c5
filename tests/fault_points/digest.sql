-- All that counts, as lines. Not: ids that are drawn, times of pgmq, delays that chance has a part in, and whether an attempt
-- that has ended was reported by the queue: that is what a worker's call does when advancing fails.
with line as (
  select 'namespace' as kind, to_jsonb(n) as line from tasker.namespaces n
  union all
  select 'template', to_jsonb(t) - 'template_id' - 'definition' from tasker.task_templates t
  union all
  select 'task', to_jsonb(t) - 'correlation_id' from tasker.tasks t
  union all
  select 'step', to_jsonb(s) - 'msg_id' - 'next_retry_at'
    - case when s.state not in ('enqueued', 'in_progress') then array['reported_at', 'reported_status'] else '{}' end
  from tasker.steps s
  union all
  select 'waiting', to_jsonb(w) from tasker.waiting w
  union all
  select 'timer', jsonb_build_object('kind', t.kind, 'at', case when t.kind <> 'retry' then t.fire_at end, 'task_id', t.task_id,
    'step_id', i.step_id, 'attempt', i.attempt)
  from tasker.timers t
  left join lateral unnest(t.step_ids, t.attempts) i(step_id, attempt) on true
  union all
  select 'lease', to_jsonb(l) from tasker.leases l
  union all
  select 'in flight', jsonb_build_object('namespace_id', d.namespace_id, 'template_id', d.template_id, 'sum', sum(d.delta))
  from tasker.in_flight_deltas d
  group by d.namespace_id, d.template_id
  union all
  select 'task transition', to_jsonb(t) - 'task_transition_id' from tasker.task_transitions t
  union all
  select 'step transition', to_jsonb(t) - 'step_transition_id' - 'metadata'
    || jsonb_build_object('metadata', t.metadata - 'next_retry_at' - 'delay_seconds')
  from tasker.step_transitions t
  union all
  select 'rejected', to_jsonb(r) - 'rejected_message_id' - 'msg_id' - 'enqueued_at' from tasker.rejected_messages r
  union all
  select 'dead letter', to_jsonb(d) - 'dead_letter_id' from tasker.dead_letters d
  union all
  select 'claim', to_jsonb(c) from tasker.claims c
  union all
  select 'message', jsonb_build_object('queue', q.name, 'message', m.message)
  from (select l.queue_name::text as name from pgmq.list_queues() l) q
  cross join play.messages(q.name) m(message)
)
select l.kind || ' ' || regexp_replace(l.line::text, '[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}', 'uuid', 'g')
from line l
