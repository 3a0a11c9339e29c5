-- Sends the messages of ready steps of one namespace to its queue, in the order given, and begins their attempts.
-- Returns how many were sent. The caller holds the tasks locked.
create or replace function tasker._enqueue(namespace tasker.namespaces, step_ids bigint[], at timestamptz)
returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  sent    record;
  msg_ids bigint[];
begin
  sent := tasker._step_messages(_enqueue.step_ids, to_json(at) #>> '{}');
  if sent.sent_ids is null then
    return 0;
  end if;
  msg_ids := tasker._send(namespace.name || '_queue', sent.messages);

  if tasker._write_enqueued(sent.sent_ids, sent.attempts, msg_ids, at) is not true then
    update tasker.steps s
    set state = 'enqueued', attempts = e.attempt, msg_id = e.msg_id, enqueued_at = at, remaining_parents = 0,
      started_at = null, reported_at = null, reported_status = null, next_retry_at = null, worker_id = null
    from unnest(sent.sent_ids, sent.attempts, msg_ids) e(step_id, attempt, msg_id)
    where s.step_id = e.step_id;
  end if;

  perform tasker._audit_steps(sent.sent_ids, at, sent.attempts, sent.states, 'enqueued');

  perform tasker._time_attempts('queued', sent.sent_ids, sent.attempts, sent.timeouts, at);

  insert into tasker.in_flight_deltas (namespace_id, template_id, delta)
  select namespace.namespace_id, e.template_id, count(*)
  from unnest(sent.templates) e(template_id)
  group by e.template_id;

  perform tasker._wake_namespace(namespace.namespace_id);
  return cardinality(sent.sent_ids);
end $$;
