-- Requests that come by the queue: both forms of the message, every field, and everything that can be wrong with it.
\getenv folder PG_ABS_SRCDIR
\set helpers :folder '/helpers.sql'
\set ECHO none
\i :helpers
\set ECHO all

call pg_temp.register($$
  namespace_name: test_request_queue
  name: order
  version: 1.0.0
  default_context: {currency: EUR}
  steps: [{name: first}, {name: extra, skippable: true}]
$$);
call pg_temp.register('{"namespace_name": "test_request_queue", "name": "keyed", "identity_strategy": "caller_provided", "steps": [{"name": "a"}]}');

create procedure pg_temp.ask(request jsonb)
language sql
as $$ select pgmq.send('orchestration_task_requests', '{"namespace": "test_request_queue", "name": "order", "context": {}}' || request) $$;
create function pg_temp.tasks(text)
returns table (state text, version text, context jsonb, priority smallint, idempotency_key text, run_at timestamptz, correlation_id uuid, parent_correlation_id uuid,
  initiator text, source_system text, reason text, tags text[], bypass_steps text[], claim_timeout_seconds integer, transition jsonb)
language sql
as $$
  select t.state, s.version, t.context, t.priority, s.idempotency_key, t.run_at, t.correlation_id, t.parent_correlation_id,
    t.initiator, t.source_system, t.reason, t.tags, t.bypass_steps, t.claim_timeout_seconds, x.metadata
  from tasker.tasks t
  join tasker.task_status s using (task_id)
  join tasker.task_transitions x on x.task_id = t.task_id and x.from_state is null
  where s.namespace = 'test_request_queue' and t.source_system = $1
  order by t.task_id
$$;

-- A message with every field is a task with every field.
call pg_temp.ask('{"request_id": "01890a5d-ac96-774b-bcce-b302099a8050", "version": "1.0.0", "context": {"order_id": 7}, "priority": 3, "idempotency_key": "seven", "run_at": "2040-01-01T02:00:00+01:00",
  "correlation_id": "01890a5d-ac96-774b-bcce-b302099a8051", "parent_correlation_id": "01890a5d-ac96-774b-bcce-b302099a8052", "initiator": "web", "source_system": "every field",
  "reason": "checkout", "tags": ["a", "b c"], "bypass_steps": ["extra"], "claim_timeout_seconds": 5, "something else": {"is": "ignored"}}');
select * from pg_temp.pass();
\x
select * from pg_temp.tasks('every field');

-- The older form has it within task_request; what stands around it does not matter.
select pgmq.send('orchestration_task_requests', '{"message_type": "task_request", "message_id": 5, "enqueued_at": "yesterday", "task_request":
  {"namespace": "test_request_queue", "name": "order", "context": {"order_id": 8}, "priority": 1, "initiator": "old", "source_system": "nested", "tags": ["x"],
   "request_id": "01890a5d-ac96-774b-bcce-b302099a8053", "parent_correlation_id": "01890a5d-ac96-774b-bcce-b302099a8054"}}') as nested \gset
-- A null is a field that is missing.
call pg_temp.ask('{"version": null, "priority": null, "idempotency_key": null, "run_at": null, "correlation_id": "01890a5d-ac96-774b-bcce-b302099a8055", "parent_correlation_id": null, "initiator": null,
  "source_system": "nulls", "reason": null, "tags": null, "bypass_steps": null, "claim_timeout_seconds": null, "request_id": null, "task_request": null}');
select * from pg_temp.pass();
select * from pg_temp.tasks('nested');
select * from pg_temp.tasks('nulls');
\x
-- Where no correlation id is given there is a new one.
call pg_temp.ask('{"source_system": "least"}');
select accepted, rejected, started, enqueued from pg_temp.pass();
select t.correlation_id::text ~ '^[0-9a-f]{8}-[0-9a-f]{4}-7' as is_uuid_v7, t.correlation_id <> '01890a5d-ac96-774b-bcce-b302099a8055' as is_new from pg_temp.tasks('least') t;

-- Two messages with one idempotency key are one task; both are done with.
call pg_temp.ask('{"source_system": "twice", "idempotency_key": "once"}');
call pg_temp.ask('{"source_system": "twice", "idempotency_key": "once", "context": {"other": true}}');
select accepted, rejected, started from pg_temp.pass();
call pg_temp.ask('{"source_system": "twice", "idempotency_key": "once"}');
select accepted, rejected, started from pg_temp.pass();
select t.context, t.idempotency_key from pg_temp.tasks('twice') t;

-- Whatever cannot be used is kept, word for word, with the reason; the good ones among them become tasks.
create temp table bad (n integer generated always as identity, message text, msg_id bigint);
insert into bad (message) values
  (null), ('null'), ('[]'), ('"text"'), ('17'), ('{}'),
  ('{"namespace": "test_request_queue", "name": "order"}'),
  ('{"namespace": null, "name": "order", "context": {}}'),
  ('{"namespace": "test_request_queue", "name": "order", "context": []}'),
  ('{"namespace": "test_request_queue", "name": "order", "context": "{}"}'),
  ('{"namespace": "test_request_queue", "name": 5, "context": {}}'),
  ('{"namespace": ["test_request_queue"], "name": "order", "context": {}}'),
  ('{"namespace": "test_request_queue", "name": "nope", "context": {}}'),
  ('{"namespace": "test_request_queue", "name": "order", "version": "9.9.9", "context": {}}'),
  ('{"namespace": "test_request_queue", "name": "order", "version": 1, "context": {}}'),
  ('{"namespace": "test_request_queue", "name": "order", "context": {}, "priority": 5}'),
  ('{"namespace": "test_request_queue", "name": "order", "context": {}, "priority": "2"}'),
  ('{"namespace": "test_request_queue", "name": "order", "context": {}, "priority": 1.5}'),
  ('{"namespace": "test_request_queue", "name": "order", "context": {}, "idempotency_key": ""}'),
  ('{"namespace": "test_request_queue", "name": "order", "context": {}, "idempotency_key": 7}'),
  ('{"namespace": "test_request_queue", "name": "order", "context": {}, "run_at": "tomorrow"}'),
  ('{"namespace": "test_request_queue", "name": "order", "context": {}, "run_at": "2040-01-01"}'),
  ('{"namespace": "test_request_queue", "name": "order", "context": {}, "run_at": 5}'),
  ('{"namespace": "test_request_queue", "name": "order", "context": {}, "correlation_id": "x"}'),
  ('{"namespace": "test_request_queue", "name": "order", "context": {}, "parent_correlation_id": 5}'),
  ('{"namespace": "test_request_queue", "name": "order", "context": {}, "request_id": "seven"}'),
  ('{"namespace": "test_request_queue", "name": "order", "context": {}, "initiator": {}, "reason": 5, "source_system": false}'),
  ('{"namespace": "test_request_queue", "name": "order", "context": {}, "tags": "a"}'),
  ('{"namespace": "test_request_queue", "name": "order", "context": {}, "tags": ["a", 5, null]}'),
  ('{"namespace": "test_request_queue", "name": "order", "context": {}, "bypass_steps": {}}'),
  ('{"namespace": "test_request_queue", "name": "order", "context": {}, "bypass_steps": ["first"]}'),
  ('{"namespace": "test_request_queue", "name": "order", "context": {}, "bypass_steps": ["extra", "nowhere"]}'),
  ('{"namespace": "test_request_queue", "name": "order", "context": {}, "claim_timeout_seconds": 0}'),
  ('{"namespace": "test_request_queue", "name": "order", "context": {}, "claim_timeout_seconds": 1e400}'),
  ('{"namespace": "test_request_queue", "name": "keyed", "context": {}}'),
  ('{"task_request": 5}'), ('{"task_request": []}'), ('{"task_request": {}}'),
  ('{"task_request": {"namespace": "test_request_queue", "name": "order", "context": {}, "priority": 9}}');
create procedure pg_temp.send_bad(first integer, last integer)
language sql
as $$
  update bad
  set msg_id = s.msg_id
  from (
    select b.n, q.msg_id
    from (select b.n, b.message from bad b where b.n between first and last order by b.n) b,
      pgmq.send('orchestration_task_requests', b.message::jsonb) q(msg_id)
  ) s
  where bad.n = s.n
$$;
call pg_temp.ask('{"source_system": "good"}');
call pg_temp.send_bad(1, 20);
call pg_temp.ask('{"source_system": "good"}');
call pg_temp.send_bad(21, 99);
call pg_temp.ask('{"source_system": "good"}');
select accepted, rejected, started from pg_temp.pass();
select b.message, r.reason, r.message is not distinct from b.message::jsonb as word_for_word
from bad b
left join tasker.rejected_messages r on r.queue_name = 'orchestration_task_requests' and r.msg_id = b.msg_id
order by b.n;
select count(*) as good from pg_temp.tasks('good');
select r.rejected_at, r.enqueued_at is not null as knows_when_it_was_sent from tasker.rejected_messages r join bad b using (msg_id) where b.n = 6;

-- An unknown namespace: the reason names those that there are.
select pgmq.send('orchestration_task_requests', '{"namespace": "test_nowhere", "name": "order", "context": {}}') as unknown \gset
select accepted, rejected from pg_temp.pass();
select r.reason ~ '^namespace test_nowhere does not exist; There are: .*test_request_queue' as named from tasker.rejected_messages r where r.queue_name = 'orchestration_task_requests' and r.msg_id = :unknown;

-- What may be any JSON is not looked into: deep or precise contexts are taken as they are.
call pg_temp.ask(jsonb_build_object('source_system', 'deep', 'context', jsonb_build_object('deep', (repeat('[', 1000) || repeat(']', 1000))::jsonb, 'n', 1e400)));
select accepted, rejected from pg_temp.pass();
select length(t.context ->> 'deep') as deep, length(t.context ->> 'n') as digits from pg_temp.tasks('deep') t;

-- A message that somebody reads just now is left alone, and taken when its time there is over.
call pg_temp.ask('{"source_system": "read by somebody"}');
select count(*) as read from pgmq.read('orchestration_task_requests', 3600, 1);
select accepted, rejected from pg_temp.pass();
select count(*) as made_visible from pgmq.q_orchestration_task_requests q, pgmq.set_vt('orchestration_task_requests', q.msg_id, 0);
select accepted, rejected from pg_temp.pass();

-- More than a batch: the pass says that there is more.
select count(*) from pgmq.send_batch('orchestration_task_requests', array_fill('{"namespace": "test_request_queue", "name": "order", "context": {}, "source_system": "many"}'::jsonb, array[25]));
select accepted, more from tasker.orchestrate(10);
select accepted, more from tasker.orchestrate(10);
select accepted from tasker.orchestrate(10);
select count(*) from pg_temp.tasks('many');
select count(*) as left_in_queue from pgmq.q_orchestration_task_requests;
select * from tasker.check();
