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
  written boolean;
begin
  sent := tasker._step_messages(_enqueue.step_ids, to_json(at) #>> '{}');
  if sent.sent_ids is null then
    return 0;
  end if;
  msg_ids := tasker._send(namespace.name || '_queue', sent.messages);

  written := tasker._write_enqueued(sent.sent_ids, sent.attempts, msg_ids, at);
  written := tasker._write_step_transitions(sent.sent_ids, at, sent.attempts, sent.states, 'enqueued');
  written := tasker._write_timers('queued', sent.sent_ids, sent.attempts, sent.timeouts, at);
  written := tasker._write_in_flight(array_fill(namespace.namespace_id, array[cardinality(sent.templates)]), sent.templates, 1);

  perform tasker._wake_namespace(namespace.namespace_id);
  return cardinality(sent.sent_ids);
end $$;
