-- A pass needs to see what others commit while it runs, so it refuses to run on one snapshot.
\getenv folder PG_ABS_SRCDIR
\set helpers :folder '/helpers.sql'
\set ECHO none
\i :helpers
\set ECHO all

call pg_temp.register($$
  namespace_name: test_isolation_level
  name: one
  version: 1.0.0
  steps: [{name: it}]
$$);
select tasker.request_task('test_isolation_level', 'one') as task \gset

begin isolation level repeatable read;
select * from tasker.orchestrate();
rollback;
\set VERBOSITY sqlstate
begin isolation level repeatable read;
select * from tasker.orchestrate();
rollback;
begin isolation level serializable;
select * from tasker.orchestrate();
rollback;
begin isolation level repeatable read;
select tasker.run_until_idle();
rollback;
-- So do those who claim and enqueue from outside, and workers that advance.
begin isolation level repeatable read;
select * from tasker.claim_ready_tasks('outside', 1, 'test_isolation_level');
rollback;
begin isolation level repeatable read;
select tasker.enqueue_ready_steps(:task);
rollback;
begin isolation level repeatable read;
select * from tasker.complete_steps('{}', advance => true);
rollback;
begin isolation level serializable;
select * from tasker.exchange_steps('test_isolation_level');
rollback;
select pg_temp.task(:task) as task;

-- Requests and workers may be on any level.
begin isolation level serializable;
select tasker.request_task('test_isolation_level', 'one') > :task as requested;
commit;
begin isolation level read uncommitted;
select started, enqueued from tasker.orchestrate();
commit;
begin isolation level repeatable read;
select count(*) as taken from tasker.poll_steps('test_isolation_level', 10);
select tasker.extend_step(pg_temp.step(:task, 'it'), 1);
select tasker.complete_step(pg_temp.step(:task, 'it'), 1);
commit;
select * from pg_temp.pass();

-- A batch holds at least one.
select * from tasker.orchestrate(batch_size => 0);

select * from tasker.check();
