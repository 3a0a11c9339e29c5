-- Sends the messages of ready steps of one namespace to its queue, in the order given, and begins their attempts.
-- Returns how many were sent. The caller holds the tasks locked.
create or replace function tasker._enqueue(namespace tasker.namespaces, step_ids bigint[], at timestamptz)
returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  sent_ids  bigint[];
  states    text[];
  timeouts  integer[];
  messages  jsonb[];
  msg_ids   bigint[];
begin
  select array_agg(m.step_id order by m.n), array_agg(m.state order by m.n), array_agg(m.timeout order by m.n),
    array_agg(m.message order by m.n)
  into sent_ids, states, timeouts, messages
  from tasker._step_messages(namespace, _enqueue.step_ids, at) m;
  if sent_ids is null then
    return 0;
  end if;

  select array_agg(s.msg_id order by s.n) into msg_ids
  from pgmq.send_batch(namespace.name || '_queue', messages) with ordinality s(msg_id, n);

  with enqueued as (
    update tasker.steps s
    set state = 'enqueued', attempts = s.attempts + 1, msg_id = e.msg_id, enqueued_at = at, remaining_parents = 0,
      started_at = null, reported_at = null, reported_status = null, next_retry_at = null, worker_id = null
    from unnest(sent_ids, msg_ids, states, timeouts) e(step_id, msg_id, from_state, timeout)
    where s.step_id = e.step_id
    returning s.step_id, s.task_id, s.attempts, e.from_state, e.timeout
  ), audited as (
    insert into tasker.step_transitions (step_id, task_id, created_at, attempt, from_state, to_state, actor)
    select e.step_id, e.task_id, at, e.attempts, e.from_state, 'enqueued', session_user
    from enqueued e
  )
  insert into tasker.timers (fire_at, kind, step_ids, attempts)
  select at + make_interval(secs => e.timeout), 'queued', array_agg(e.step_id), array_agg(e.attempts)
  from enqueued e
  group by e.timeout;

  insert into tasker.in_flight_deltas (namespace_id, template_id, delta)
  select namespace.namespace_id, t.template_id, count(*)
  from unnest(sent_ids) i(step_id)
  cross join lateral (select t.template_id from tasker.tasks t where t.task_id = i.step_id >> 16 offset 0) t
  group by t.template_id;

  perform tasker._wake_namespace(namespace.namespace_id);
  return cardinality(sent_ids);
end $$;
