-- Workers that call functions: they take steps, report them, and are told at once when an attempt is not theirs any more.
\getenv folder PG_ABS_SRCDIR
\set helpers :folder '/helpers.sql'
\set ECHO none
\i :helpers
\set ECHO all

call pg_temp.register($$
  namespace_name: test_functions
  name: fan
  version: 1.0.0
  steps: [{name: a}, {name: b}, {name: c}]
$$);
call pg_temp.register($$
  namespace_name: test_functions
  name: chain
  version: 1.0.0
  steps:
    - {name: first, timeout_seconds: 60, retry: {max_attempts: 2, backoff: none, backoff_base_ms: 1000, max_backoff_ms: 1000}}
    - {name: second, dependencies: [first]}
$$);

-- poll_steps takes what is asked for: so many, of these tasks, of these steps.
select tasker.request_task('test_functions', 'fan') as fan \gset
select tasker.request_task('test_functions', 'chain') as chain \gset
call pg_temp.passes();
select message ->> 'task_name' as task, message ->> 'step_name' as step, attempt from tasker.poll_steps('test_functions', 10, task_names => '{chain, nope}');
select message ->> 'task_name' as task, message ->> 'step_name' as step, attempt from tasker.poll_steps('test_functions', 10, step_names => '{c}');
select message ->> 'task_name' as task, message ->> 'step_name' as step, attempt from tasker.poll_steps('test_functions', 10, task_names => '{chain}', step_names => '{a}');
select message ->> 'task_name' as task, message ->> 'step_name' as step, attempt from tasker.poll_steps('test_functions', worker_id => 'me');
select message ->> 'task_name' as task, message ->> 'step_name' as step, attempt from tasker.poll_steps('test_functions', 10);
select message ->> 'task_name' as task, message ->> 'step_name' as step, attempt from tasker.poll_steps('test_functions', 10);
select pg_temp.steps(:fan) as fan, pg_temp.steps(:chain) as chain;
select s.step_name, s.worker_id from tasker.step_status s where s.task_id = :fan order by s.step_id;

-- Columns and message agree.
begin;
select tasker.request_task('test_functions', 'fan') as other \gset
call pg_temp.passes();
select count(*) as taken, bool_and(step_id = (message ->> 'step_id')::bigint and task_id = (message ->> 'task_id')::bigint
  and attempt = (message ->> 'attempt')::integer and task_id = :other) as agree
from tasker.poll_steps('test_functions', 10);
rollback;

\set VERBOSITY terse
select * from tasker.poll_steps('test_functions', 0);
select * from tasker.poll_steps('test_functions', null);
select * from tasker.poll_steps('test_functions', 1, lease => '-1 second');
select * from tasker.poll_steps('test_nowhere');

-- Reported once, an attempt is done: for the same worker, for another, and after it is settled. So is one that was never
-- made. A step that there is not is another thing.
\set VERBOSITY sqlstate
select pg_temp.step(:chain, 'first') as first, pg_temp.step(:chain, 'second') as second, pg_temp.step(:fan, 'a') as a, pg_temp.step(:fan, 'b') as b, pg_temp.step(:fan, 'c') as c \gset
select tasker.complete_step(:first, 2, '{}');
select tasker.complete_step(:second, 1, '{}');
select tasker.complete_step(:first, 1, '{"by": "me"}', execution_time_ms => 250);
select tasker.complete_step(:first, 1, '{"by": "another"}');
select tasker.fail_step(:first, 1, '"no"');
select * from pg_temp.pass();
select tasker.complete_step(:first, 1, '{"by": "a third"}');
select tasker.complete_step(9007199254740991, 1);
select tasker.complete_step(null, 1);
select tasker.complete_step(:second, null);
select pg_temp.steps(:chain) as steps, results from tasker.task_results(:chain) limit 1;

-- A report that cannot be used is refused while its worker is there to hear it, and nothing is reported.
select tasker.fail_step(:a, 1, '{"retryable": "no"}');
select tasker.complete_step(:a, 1, execution_time_ms => -1);
select tasker.complete_step(:a, 1, orchestration_metadata => '[]');
select s.reported_at is null as unreported from tasker.steps s where s.step_id = :a;

-- A cancelled attempt is told apart. The plain result of one is late.
select tasker.cancel_task(:fan);
select tasker.complete_step(:a, 1);
select tasker.fail_step(:b, 1);
select tasker.complete_step(:a, 7);
select tasker.extend_step(:a, 1);
select o.item, o.outcome from tasker.complete_steps(array[jsonb_build_object('step_id', :a, 'attempt', 1, 'status', 'success')]) o;
call pg_temp.send_result(jsonb_build_object('step_id', :c, 'attempt', 1, 'status', 'success'));
select * from pg_temp.pass();

-- fail_step: an error of any shape; tried again unless somebody says that it is of no use.
select tasker.request_task('test_functions', 'chain') as chain \gset
select pg_temp.step(:chain, 'first') as first \gset
call pg_temp.passes();
select attempt from tasker.poll_steps('test_functions', 10, task_names => '{chain}', step_names => '{first}');
select tasker.fail_step(:first, 1, '{"message": "busy", "status_code": 503}');
select * from pg_temp.pass();
select pg_temp.steps(:chain) as steps, last_error from tasker.task_results(:chain) limit 1;
call pg_temp.later('1 second');
call pg_temp.passes();
select tasker.fail_step(:first, 1, '"late"');
select tasker.fail_step(:first, 2, '"still busy"');
select * from pg_temp.pass();
select pg_temp.task(:chain) as task, pg_temp.steps(:chain) as steps, last_error from tasker.task_results(:chain) limit 1;
select tasker.request_task('test_functions', 'chain') as chain \gset
call pg_temp.passes();
select tasker.fail_step(pg_temp.step(:chain, 'first'), 1, '[1]', retryable => false);
call pg_temp.passes();
select pg_temp.task(:chain) as task, pg_temp.steps(:chain) as steps, last_error from tasker.task_results(:chain) limit 1;

-- complete_steps: an outcome per item, in their order.
call pg_temp.quiet();
select tasker.request_task('test_functions', 'fan') as fan \gset
select tasker.request_task('test_functions', 'fan') as gone \gset
select tasker.request_task('test_functions', 'chain') as chain \gset
call pg_temp.passes();
select count(*) from tasker.poll_steps('test_functions', 10);
select tasker.cancel_task(:gone);
create temp table reports (n integer generated always as identity, report jsonb);
insert into reports (report)
select jsonb_build_object('step_id', r.step_id, 'attempt', r.attempt, 'status', r.status) || r.rest
from (values
  (pg_temp.step(:fan, 'b'), 1, 'success', '{"result_data": {"n": 1}}'::jsonb),
  (pg_temp.step(:fan, 'a'), 1, 'Completed', '{"result_data": [2], "execution_time_ms": 3}'),
  (pg_temp.step(:fan, 'a'), 1, 'failure', '{}'),
  (pg_temp.step(:fan, 'c'), 2, 'success', '{}'),
  (pg_temp.step(:gone, 'a'), 1, 'success', '{}'),
  (pg_temp.step(:chain, 'first'), 1, 'ERROR', '{"error": "no", "orchestration_metadata": {"headers": {"Retry-After": "90"}}}'),
  (pg_temp.step(:chain, 'second'), 1, 'success', '{}'),
  (9007199254740991, 1, 'success', '{}')) r(step_id, attempt, status, rest);
select o.item, o.outcome, o.step_id = (r.report ->> 'step_id')::bigint and o.attempt = (r.report ->> 'attempt')::integer as agree
from tasker.complete_steps(array(select report from reports order by n)) o
join reports r on r.n = o.item
order by o.item;
select * from pg_temp.pass();
select pg_temp.steps(:fan) as fan, pg_temp.steps(:chain) as chain;
select step_name, results from tasker.task_results(:fan);
select next_retry_at - tasker.clock() as retried_in, last_error from tasker.steps where step_id = pg_temp.step(:chain, 'first');
select count(*) from tasker.complete_steps('{}');

-- One that is not well-formed: none is taken, and all faults are named.
\set VERBOSITY default
select * from tasker.complete_steps(array[jsonb_build_object('step_id', pg_temp.step(:fan, 'c'), 'attempt', 1, 'status', 'success'),
  '{"step_id": 1000000000001, "status": "success"}', '{"step_id": 1000000000001, "attempt": 1, "status": "done"}', '[]', null]);
select pg_temp.steps(:fan) as fan;
\set VERBOSITY sqlstate

-- Released untried, a step goes out again as the next attempt, and its number of real tries is what it was.
select tasker.request_task('test_functions', 'chain') as chain \gset
select pg_temp.step(:chain, 'first') as first \gset
call pg_temp.passes();
select attempt from tasker.poll_steps('test_functions', 10, task_names => '{chain}');
select tasker.release_steps(array[:first, :first, 9007199254740991], array[2, 1, 1]);
select tasker.release_steps(array[:first], array[1]);
select tasker.release_steps(array[:first], array[1, 2]);
select tasker.complete_step(:first, 1);
select tasker.extend_step(:first, 1);
call pg_temp.passes();
select attempt from tasker.poll_steps('test_functions', 10, task_names => '{chain}');
select tasker.release_steps(array[:first], array[2]);
call pg_temp.passes();
select attempt, message -> 'metadata' ->> 'retry_count' as retry_count, message -> 'metadata' ->> 'max_retries' as max_retries
from tasker.poll_steps('test_functions', 10, task_names => '{chain}');
select tasker.fail_step(:first, 3);
call pg_temp.passes();
select pg_temp.steps(:chain) as after_one_real_try;
call pg_temp.later('1 second');
call pg_temp.passes();
select tasker.fail_step(:first, 4);
call pg_temp.passes();
select pg_temp.steps(:chain) as after_the_second;

-- The heartbeat is true while the attempt goes on and false from then on.
select tasker.request_task('test_functions', 'chain') as chain \gset
select pg_temp.step(:chain, 'first') as first \gset
call pg_temp.passes();
select attempt from tasker.poll_steps('test_functions', 10, task_names => '{chain}');
select tasker.extend_step(:first, 1), tasker.extend_step(:first, 1, '1 hour'), tasker.extend_step(:first, 2), tasker.extend_step(:second, 1), tasker.extend_step(9007199254740991, 1);
select tasker.extend_step(:first, 1, '0');
select tasker.complete_step(:first, 1);
select tasker.extend_step(:first, 1);

-- What is no step message is set apart and stands in nobody's way.
call pg_temp.quiet();
select tasker.request_task('test_functions', 'chain') as chain \gset
create temp table garbage (n integer generated always as identity, message jsonb);
insert into garbage (message) values ('"hello"'), ('{}'), ('[]'), (null), ('{"step_id": "x", "attempt": 1}'), ('{"step_id": 1.5, "attempt": 1}'),
  ('{"step_id": 9223372036854775808, "attempt": 1}'), ('{"step_id": 70000}'), ('{"step_id": 9007199254740991, "attempt": 1}');
select coalesce(max(rejected_message_id), 0) as before from tasker.rejected_messages \gset
select count(*) from garbage g, pgmq.send('test_functions_queue', g.message);
call pg_temp.passes();
select attempt, message ->> 'step_name' as step from tasker.poll_steps('test_functions', 2);
select attempt, message ->> 'step_name' as step from tasker.poll_steps('test_functions', 20);
select message, queue_name, reason from tasker.rejected_messages where rejected_message_id > :before order by rejected_message_id;
select count(*) as left_in_queue from pg_temp.queue('test_functions');

-- Rolled back, a poll has taken nothing.
select tasker.request_task('test_functions', 'fan') as fan \gset
call pg_temp.passes();
begin;
select count(*) from tasker.poll_steps('test_functions', 10, task_names => '{fan}');
rollback;
select pg_temp.steps(:fan) as steps;
-- Any time to wait will do, however long: these wait for nothing.
select count(*) from tasker.poll_steps('test_functions', 10, task_names => '{fan}', max_wait => '300000 years');
select count(*) from tasker.poll_steps('test_functions', max_wait => '-300000 years'),
  tasker.exchange_steps('test_functions', max_wait => '-1 day');
select count(*) from tasker.poll_steps('test_functions', max_wait => interval '-9223372036854775807 microseconds');

select * from tasker.check();
