-- All that the model knows of one namespace ($1 its name, {queue} its queue), as the lines that the model shows itself
-- in. kind: task (number = task_id), due (number = next_retry_at), message (number = msg_id, in their order), rejected
-- (number = rejected_message_id), line.
with task as materialized (
  select t.*, row_number() over (order by t.task_id) - 1 as n
  from tasker.tasks t
  where t.namespace_id = (select n.namespace_id from tasker.namespaces n where n.name = $1)
), step as materialized (
  select s.*, t.n || '.' || (s.step_id & 65535) - 1 as at
  from task t
  join tasker.steps s on s.step_id between t.task_id << 16 and (t.task_id << 16) + 65535
), message as materialized (
  select q.msg_id, q.read_ct, q.message,
    case when q.message ? 'execution_context' then (q.message ->> 'step_id')::bigint end as step_id
  from pgmq.{queue} q
)
select 'task' as kind, t.n::text as line, t.task_id as number from task t
union all
select 'line', format('task %s: %s%s', t.n, t.state, case when t.stopping is not null then ', stopping' end), 0 from task t
union all
select 'line', format('step %s: %s, attempt %s of %s%s%s', s.at, s.state, s.attempts, s.max_attempts,
  case when s.state in ('enqueued', 'in_progress') and s.reported_at is not null then ', reported' end,
  ', results ' || (s.results ->> 'n')), 0
from step s
union all
select 'due', s.at, (extract(epoch from s.next_retry_at - timestamptz '{epoch}') * 1000)::bigint
from step s
where s.next_retry_at is not null
union all
select 'line', format('extended: %s until %s', s.at, (extract(epoch from l.expires_at - timestamptz '{epoch}') * 1000)::bigint), 0
from step s
join tasker.leases l on l.step_id = s.step_id and l.attempt = s.attempts and l.expires_at > tasker.clock()
where s.state in ('enqueued', 'in_progress') and s.reported_at is null
union all
select 'line', format('waiting: %s%s, since %s%s', t.n, '.' || (w.step_id & 65535) - 1,
  (extract(epoch from w.since - timestamptz '{epoch}') * 1000)::bigint,
  format(' claimed by %s until %s', w.claimed_by, (extract(epoch from w.claim_expires_at - timestamptz '{epoch}') * 1000)::bigint)
    || case when w.claimed_by is not null then '' end), 0
from task t
join tasker.waiting w on w.task_id = t.task_id
union all
select 'line', format('claim: %s claimed by %s until %s', t.n, c.claimed_by,
  (extract(epoch from c.expires_at - timestamptz '{epoch}') * 1000)::bigint), 0
from task t
join tasker.claims c on c.task_id = t.task_id
union all
select 'line', format('event: %s %s%s', e.message ->> 'event', t.n, '.' || ((e.message ->> 'step_id')::bigint & 65535) - 1), 0
from {events} e
join task t on t.task_id = (e.message ->> 'task_id')::bigint
union all
select 'line', format('dead letter: %s%s, %s', t.n, '.' || (d.step_id & 65535) - 1, d.reason), 0
from task t
join tasker.dead_letters d on d.task_id = t.task_id and d.resolved_at is null
union all
select 'line', format('orchestration_task_requests: %s', count(*)), 0 from pgmq.q_orchestration_task_requests
union all
select 'line', format('orchestration_step_results: %s', count(*)), 0 from pgmq.q_orchestration_step_results
union all
select 'rejected', format('%s %s',
  case r.queue_name when 'orchestration_task_requests' then 'Requests' when 'orchestration_step_results' then 'Results'
    else 'Steps' end, r.message), r.rejected_message_id
from tasker.rejected_messages r
union all
select 'message', case when m.step_id is null then format('%s, read %s', m.message, m.read_ct) else format('%s attempt %s, read %s, sequence [%s]', s.at, m.message ->> 'attempt', m.read_ct, (
    select string_agg(coalesce(p.value -> 'results' ->> 'n', '-'), ' ' order by p.ordinality)
    from jsonb_array_elements(m.message -> 'execution_context' -> 'sequence') with ordinality p)) end, m.msg_id
from message m
left join step s on s.step_id = m.step_id
order by number
