-- Every result that plain workers send is settled, late, or kept in rejected_messages: nothing is lost.
\getenv folder PG_ABS_SRCDIR
\set helpers :folder '/helpers.sql'
\set ECHO none
\i :helpers
\set ECHO all

call pg_temp.register($$
  namespace_name: test_results
  name: six
  version: 1.0.0
  steps: [{name: a}, {name: b}, {name: c}, {name: d}, {name: e}, {name: f}]
$$);
call pg_temp.register($$
  namespace_name: test_results
  name: pair
  version: 1.0.0
  steps:
    - {name: first, retry: {max_attempts: 2, backoff: none, backoff_base_ms: 1000}}
    - {name: second, dependencies: [first]}
$$);

-- All spellings of a status, in any letter case.
select tasker.request_task('test_results', 'six') as task \gset
select * from pg_temp.pass();
call pg_temp.reply(:task, 'a', 'success', '{"result_data": {"n": 1.50, "deep": [null, {"k": "v"}]}}');
call pg_temp.reply(:task, 'b', 'COMPLETED', '{"result_data": [1, 2]}');
call pg_temp.reply(:task, 'c', 'failure', '{"error": {"message": "no", "retryable": false, "context": {"a": 1}}}');
call pg_temp.reply(:task, 'd', 'Failed', '{"error": {"retryable": false}}');
call pg_temp.reply(:task, 'e', 'ERROR', '{"error": "gone", "unknown field": true}');
call pg_temp.reply(:task, 'f', 'timed_out');
select * from pg_temp.pass();
select pg_temp.task(:task) as task, pg_temp.steps(:task) as steps;
select step_name, results, last_error from tasker.task_results(:task);

-- e and f may be tried again: as often as the template says.
call pg_temp.later('1 hour');
select * from pg_temp.pass();
call pg_temp.reply(:task, 'e', 'success');
call pg_temp.reply(:task, 'f', 'completed', '{"result_data": null, "execution_time_ms": 12.5}');
select * from pg_temp.pass();
select pg_temp.task(:task) as task, pg_temp.steps(:task) as steps;

-- Without an attempt, or with null for it, the current one is meant.
select tasker.request_task('test_results', 'pair') as task \gset
call pg_temp.passes();
call pg_temp.send_result(jsonb_build_object('step_id', pg_temp.step(:task, 'first'), 'status', 'success'));
select * from pg_temp.pass();
call pg_temp.send_result(jsonb_build_object('step_id', pg_temp.step(:task, 'second'), 'status', 'success', 'attempt', null, 'task_id', :task));
select * from pg_temp.pass();
select pg_temp.task(:task) as task, pg_temp.steps(:task) as steps;

-- Late: an attempt that has not been made, a duplicate beside its twin, one after it, an attempt that was superseded, a
-- result without an attempt while none is in flight, and any result of a task that is over.
select tasker.request_task('test_results', 'pair') as task \gset
call pg_temp.passes();
call pg_temp.reply(:task, 'first', 'success', '{"attempt": 2}');
select * from pg_temp.pass();
call pg_temp.reply(:task, 'first', 'failure');
call pg_temp.reply(:task, 'first', 'success');
select * from pg_temp.pass();
call pg_temp.reply(:task, 'first', 'success', '{"attempt": null}');
call pg_temp.reply(:task, 'second', 'success', '{"attempt": null}');
select * from pg_temp.pass();
call pg_temp.later('1 minute');
call pg_temp.passes();
call pg_temp.reply(:task, 'first', 'success', '{"attempt": 1, "result_data": "of attempt 1"}');
select * from pg_temp.pass();
select pg_temp.steps(:task) as steps;
call pg_temp.reply(:task, 'first', 'success', '{"result_data": "of attempt 2"}');
call pg_temp.passes();
call pg_temp.reply(:task, 'second');
call pg_temp.passes();
call pg_temp.reply(:task, 'second', 'failure');
select * from pg_temp.pass();
select pg_temp.task(:task) as task, pg_temp.steps(:task) as steps, results from tasker.task_results(:task) limit 1;

-- Whatever cannot be used is kept, word for word, with the reason; the good one in the midst of them is settled.
select tasker.request_task('test_results', 'pair') as task \gset
call pg_temp.passes();
select coalesce(max(rejected_message_id), 0) as before from tasker.rejected_messages \gset
select pg_temp.step(:task, 'first') as step \gset
create temp table bad (n integer generated always as identity, message text);
insert into bad (message) values
  (null), ('null'), ('[]'), ('"text"'), ('17'), ('{}'),
  ('{"status": "success"}'),
  ('{"status": "success", "step_id": null}'),
  ('{"status": "success", "step_id": "STEP"}'),
  ('{"status": "success", "step_id": true}'),
  ('{"status": "success", "step_id": STEP.5}'),
  ('{"status": "success", "step_id": 0}'),
  ('{"status": "success", "step_id": -STEP}'),
  ('{"status": "success", "step_id": 9223372036854775808}'),
  ('{"status": "success", "step_id": 1e400}'),
  ('{"step_id": STEP}'),
  ('{"step_id": STEP, "status": null}'),
  ('{"step_id": STEP, "status": 1}'),
  ('{"step_id": STEP, "status": "done"}'),
  ('{"step_id": STEP, "status": ""}'),
  ('{"step_id": STEP, "status": "success", "attempt": "1"}'),
  ('{"step_id": STEP, "status": "success", "attempt": 0}'),
  ('{"step_id": STEP, "status": "success", "attempt": 1.5}'),
  ('{"step_id": STEP, "status": "success", "attempt": 2147483648}'),
  ('{"step_id": STEP, "status": "success", "execution_time_ms": "12"}'),
  ('{"step_id": STEP, "status": "success", "execution_time_ms": -1}'),
  ('{"step_id": STEP, "status": "failure", "error": 5}'),
  ('{"step_id": STEP, "status": "failure", "error": []}'),
  ('{"step_id": STEP, "status": "failure", "error": {"retryable": "no"}}'),
  ('{"step_id": STEP, "status": "failure", "error": {"message": 5, "status_code": "429"}}'),
  ('{"step_id": STEP, "status": "failure", "orchestration_metadata": []}'),
  ('{"step_id": STEP, "status": "failure", "orchestration_metadata": {"headers": "retry-after: 5"}}'),
  ('{"step_id": STEP, "status": "failure", "orchestration_metadata": {"backoff_hint": 60}}'),
  ('{"step_id": STEP, "status": "success", "task_id": "x"}'),
  ('{"step_id": STEP, "status": "success", "task_id": 99999999}'),
  ('{"step_id": STEP, "status": "success", "task_id": 99999999, "attempt": 7}'),
  ('{"step_id": 9007199254740991, "status": "success"}'),
  ('{"step_id": 65536, "status": "success"}');
select count(*) from bad b, pgmq.send('orchestration_step_results', replace(b.message, 'STEP', :'step')::jsonb) where b.n <= 20;
call pg_temp.reply(:task, 'first');
select count(*) from bad b, pgmq.send('orchestration_step_results', replace(b.message, 'STEP', :'step')::jsonb) where b.n > 20;
select * from pg_temp.pass();

select b.message, replace(r.reason, :'step', 'STEP') as reason,
  r.message is not distinct from replace(b.message, 'STEP', :'step')::jsonb as word_for_word
from bad b
left join (
  select r.*, row_number() over (order by r.msg_id) as n
  from tasker.rejected_messages r
  where r.rejected_message_id > :before and r.queue_name = 'orchestration_step_results'
) r on r.n = b.n
order by b.n;
select pg_temp.steps(:task) as steps;

-- More than one batch: the pass says that there is more, and the sums come out even.
select count(*) from tasker.request_tasks('test_results', 'six', array_fill('{}'::jsonb, array[10]));
call pg_temp.passes();
select count(*)
from (
    select s.step_id
    from tasker.step_status s
    where s.namespace = 'test_results' and s.task_name = 'six' and s.state = 'enqueued'
    order by s.step_id
    offset 0
  ) s,
  pgmq.send('orchestration_step_results', jsonb_build_object('step_id', s.step_id, 'attempt', 1, 'status', 'success'));
select settled, finished, more from tasker.orchestrate(batch_size => 25);
select settled, finished, more from tasker.orchestrate(batch_size => 25);
select settled, finished, more from tasker.orchestrate(batch_size => 25);
select settled, finished, more from tasker.orchestrate(batch_size => 25);

-- A message that its sender hides until the end of time stops no pass, and is no reason to come back.
select count(*)
from (values ('orchestration_step_results', timestamptz 'infinity'), ('orchestration_task_requests', 'infinity'),
  ('orchestration_step_results', '294276-12-31')) q(name, vt), pgmq.send(q.name, '{}', null, q.vt);
select tasker.request_task('test_results', 'six') as task \gset
select p.started, p.next_due_at < 'infinity' as finite from tasker.orchestrate() p;
call pg_temp.reply(:task, 'a');
select p.settled, p.rejected, p.next_due_at < 'infinity' as finite from tasker.orchestrate() p;
delete from pgmq.q_orchestration_step_results where vt > clock_timestamp();
delete from pgmq.q_orchestration_task_requests where vt > clock_timestamp();

select count(*) as left_in_queue from pgmq.q_orchestration_step_results;
select * from tasker.check();
