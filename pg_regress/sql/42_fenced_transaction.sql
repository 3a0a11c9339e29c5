-- Business writes and the report of an attempt commit together, or not at all.
\getenv folder PG_ABS_SRCDIR
\set helpers :folder '/helpers.sql'
\set ECHO none
\i :helpers
\set ECHO all

call pg_temp.register($$
  namespace_name: test_fence
  name: payment
  version: 1.0.0
  steps:
    - {name: pay, timeout_seconds: 60, retry: {max_attempts: 3, backoff: none, backoff_base_ms: 1}}
    - {name: ship, dependencies: [pay]}
$$);
create temp table ledger (entry text);
\set VERBOSITY sqlstate

-- Rolled back: no entry, no report, nothing for the orchestrator; the attempt is still the worker's.
select tasker.request_task('test_fence', 'payment') as task \gset
call pg_temp.passes();
select pg_temp.step(:task, 'pay') as pay \gset
select attempt from tasker.poll_steps('test_fence');
begin;
insert into ledger values ('rolled back');
select tasker.complete_step(:pay, 1, '{"paid": true}');
rollback;
select count(*) as messages from pgmq.q_orchestration_step_results;
select * from pg_temp.pass();
select * from ledger;
select tasker.extend_step(:pay, 1);

-- Committed: both.
begin;
insert into ledger values ('attempt 1');
select tasker.complete_step(:pay, 1, '{"paid": true}');
commit;
select * from pg_temp.pass();
select * from ledger;
select pg_temp.steps(:task) as steps;

-- A worker whose lease was over when it came back: its entry is not made, that of its successor is.
truncate ledger;
select tasker.request_task('test_fence', 'payment') as task \gset
select pg_temp.step(:task, 'pay') as pay \gset
call pg_temp.passes();
select attempt from tasker.poll_steps('test_fence', step_names => '{pay}');
call pg_temp.later('61 seconds');
call pg_temp.passes();
call pg_temp.later('1 second');
call pg_temp.passes();
select attempt from tasker.poll_steps('test_fence', step_names => '{pay}');
begin;
insert into ledger values ('attempt 1, late');
select tasker.complete_step(:pay, 1, '{"paid": "twice?"}');
commit;
begin;
insert into ledger values ('attempt 2');
select tasker.complete_step(:pay, 2, '{"paid": "once"}');
commit;
begin;
insert into ledger values ('attempt 2 again');
select tasker.complete_step(:pay, 2, '{"paid": "twice?"}');
commit;
call pg_temp.passes();
select * from ledger;
select pg_temp.steps(:task) as steps, results from tasker.task_results(:task) limit 1;

-- The same for a cancelled one, and for fail_step. Who asks for it can catch the error and write something else.
truncate ledger;
select tasker.request_task('test_fence', 'payment') as task \gset
select pg_temp.step(:task, 'pay') as pay \gset
call pg_temp.passes();
select attempt from tasker.poll_steps('test_fence', step_names => '{pay}');
select tasker.cancel_task(:task);
begin;
insert into ledger values ('cancelled');
select tasker.complete_step(:pay, 1);
commit;
begin;
insert into ledger values ('cancelled');
select tasker.fail_step(:pay, 1);
commit;
do $$
begin
  insert into ledger values ('caught');
  perform tasker.complete_step((select max(step_id) - 1 from tasker.steps), 1);
exception when sqlstate 'TK002' then
  insert into ledger values ('told that it was cancelled');
end $$;
select * from ledger;

-- A request and the row that it is about are one as well.
truncate ledger;
begin;
insert into ledger values ('order');
select tasker.request_task('test_fence', 'payment', idempotency_key => 'rolled back') > 0 as requested;
rollback;
select count(*) from ledger;
select count(*) from tasker.task_status where namespace = 'test_fence' and idempotency_key = 'rolled back';

select * from tasker.check();
