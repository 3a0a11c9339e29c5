-- reconcile() mends what a purged or dropped queue has lost.
\getenv folder PG_ABS_SRCDIR
\set helpers :folder '/helpers.sql'
\set ECHO none
\i :helpers
\set ECHO all

call pg_temp.register('{"namespace_name": "test_reconcile", "name": "two", "steps": [{"name": "a", "retry": {"max_attempts": 1}}, {"name": "b", "dependencies": ["a"]}]}');
create temp view repaired as select subject, name, repaired from tasker.reconcile() where name like 'test_reconcile%';

-- Nothing to mend.
select tasker.request_task('test_reconcile', 'two') as task \gset
call pg_temp.passes();
select * from repaired;

-- The step messages purged: enqueued again, without using up max_attempts.
select pgmq.purge_queue('test_reconcile_queue');
select * from repaired;
select * from tasker.check();
call pg_temp.passes();
select * from pg_temp.queue('test_reconcile');
select pg_temp.steps(:task) as steps;

-- A report that was in the purged results queue: sent again, not done again.
select tasker.complete_step(step_id, attempt, '"once"') from tasker.poll_steps('test_reconcile');
select count(*) from pgmq.purge_queue('orchestration_step_results');
select * from repaired;
call pg_temp.passes();
select pg_temp.steps(:task) as steps;
select results from tasker.steps where step_id = pg_temp.step(:task, 'a');

-- The queue dropped: made again, and its messages with it.
select pgmq.drop_queue('test_reconcile_queue');
select * from repaired;
call pg_temp.passes();
select * from pg_temp.queue('test_reconcile');
call pg_temp.reply(:task, 'b');
call pg_temp.passes();
select pg_temp.task(:task) as task, pg_temp.steps(:task) as steps;

-- A lost report that is noticed only after its lease: its timer has fired, yet it is found.
select tasker.request_task('test_reconcile', 'two') as task \gset
call pg_temp.passes();
select tasker.complete_step(step_id, attempt) from tasker.poll_steps('test_reconcile');
select count(*) from pgmq.purge_queue('orchestration_step_results');
call pg_temp.later('2 hours');
call pg_temp.passes();
select pg_temp.steps(:task) as steps;
select * from repaired;
call pg_temp.passes();
select pg_temp.steps(:task) as steps;
select * from tasker.check();

-- A queue that was made again gives its numbers to other messages: a lost one is not taken for theirs.
select tasker.purge_namespace('test_reconcile');
create temp view made_again as select d, tasker.create_namespace('test_reconcile') is not null as made from pgmq.drop_queue('test_reconcile_queue') d;
select * from made_again;
select tasker.request_task('test_reconcile', 'two') as lost \gset
select tasker.request_task('test_reconcile', 'two') as cancelled \gset
call pg_temp.passes();
select * from made_again;
select tasker.request_task('test_reconcile', 'two') as third \gset
select tasker.request_task('test_reconcile', 'two') as fourth \gset
call pg_temp.passes();
select s.msg_id, count(*) from tasker.steps s where s.state = 'enqueued' group by 1 order by 1;
select fact like '%taken from queue%' as is_gone from tasker.explain_task(:lost) where fact like 'attempt 1%';
select tasker.cancel_task(:cancelled);
select count(*) from pg_temp.queue('test_reconcile');
select * from repaired;
call pg_temp.passes();
select t.name, pg_temp.steps(t.id) as steps from (values (:lost, 'lost'), (:third, 'third'), (:fourth, 'fourth')) t(id, name);
select count(*) from pg_temp.queue('test_reconcile');
select tasker.purge_namespace('test_reconcile');
select * from tasker.check();
