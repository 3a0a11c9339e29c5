-- A copy of the database does not do the original's work, until it is told to.
\getenv folder PG_ABS_SRCDIR
\set helpers :folder '/helpers.sql'
\set ECHO none
\i :helpers
\set ECHO all

call pg_temp.register($$
  namespace_name: test_identity
  name: one
  version: 1.0.0
  steps: [{name: it}]
$$);
select tasker._identity_is_ours();

-- As after a restore elsewhere, or in a database made from this one as its template.
select tasker.request_task('test_identity', 'one') as task \gset
set client_min_messages = notice;
begin;
update tasker.identity set system_identifier = system_identifier + 1;
select tasker._identity_is_ours();
select accepted, settled, late, rejected, fired, started, enqueued, finished, more, next_due_at from tasker.orchestrate();
select identity from tasker.orchestrator_status limit 1;
rollback;
begin;
update tasker.identity set database_oid = (select oid from pg_database where datname = 'template1');
select accepted, settled, late, rejected, fired, started, enqueued, finished, more, next_due_at from tasker.orchestrate();
rollback;

-- Everything else works meanwhile, and waits.
update tasker.identity set system_identifier = system_identifier + 1;
select tasker.request_task('test_identity', 'one') > :task as requested;
select count(*) from pgmq.send('orchestration_task_requests', '{"namespace": "test_identity", "name": "one", "context": {}}');
-- Not even a new namespace makes it ours.
select tasker.create_namespace('test_identity_b') > 0 as created;
select tasker.run_until_idle();
select pg_temp.task(:task) as task;
select count(*) as requests from pgmq.q_orchestration_task_requests;

select tasker.take_over();
select tasker._identity_is_ours();
set client_min_messages = warning;
select * from pg_temp.pass();
select taken_by = session_user as by_me, database_oid = (select oid from pg_database where datname = current_database()) as here from tasker.identity;

-- A new engine, with nothing registered, belongs to nobody and does nothing, without a word.
begin;
delete from tasker.identity;
set local client_min_messages = notice;
select tasker._identity_is_ours();
select started, enqueued, more, next_due_at from tasker.orchestrate();
select identity from tasker.orchestrator_status limit 1;
select tasker.create_namespace('test_identity_c') > 0 as created;
select tasker._identity_is_ours();
rollback;

select * from tasker.check();
