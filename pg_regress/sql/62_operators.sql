-- Operators retry and resolve what failed; the task goes on or ends as it should.
\getenv folder PG_ABS_SRCDIR
\set helpers :folder '/helpers.sql'
\set ECHO none
\i :helpers
\set ECHO all

call pg_temp.register($yaml$
namespace_name: test_operators
name: chain
steps:
  - {name: a, retry: {max_attempts: 1}}
  - {name: b, dependencies: [a]}
  - {name: c, dependencies: [b]}
$yaml$);
call pg_temp.register($yaml$
namespace_name: test_operators
name: fast
on_failure: fail_fast
steps:
  - {name: a, retry: {max_attempts: 1}}
  - {name: x}
  - {name: b, dependencies: [a, x]}
$yaml$);

-- retry_step raises max_attempts by one and brings the task back.
select tasker.request_task('test_operators', 'chain') as task \gset
call pg_temp.passes();
call pg_temp.reply(:task, 'a', 'failure');
call pg_temp.passes();
select pg_temp.task(:task) as task, pg_temp.steps(:task) as steps;
select tasker.retry_step(pg_temp.step(:task, 'a'), 'the disk is mended');
select * from tasker.check();
call pg_temp.passes();
select pg_temp.task(:task) as task, pg_temp.steps(:task) as steps;
select max_attempts from tasker.steps where step_id = pg_temp.step(:task, 'a');
call pg_temp.reply(:task, 'a', 'failure');
call pg_temp.passes();
select pg_temp.task(:task) as task, pg_temp.steps(:task) as steps;

-- resolve_step stands for the step's own success: children go on with the results given.
select tasker.resolve_step(pg_temp.step(:task, 'a'), '{"by": "hand"}', 'done in the shop');
select * from tasker.check();
call pg_temp.passes();
select pg_temp.task(:task) as task, pg_temp.steps(:task) as steps;
select q.message #> '{execution_context,sequence,0,results}' as results from pgmq.q_test_operators_queue q;
-- An attempt in flight is superseded: its message is gone and its result late.
select tasker.resolve_step(pg_temp.step(:task, 'b'));
select * from pg_temp.queue('test_operators');
call pg_temp.reply(:task, 'b');
select * from pg_temp.pass();
select * from pg_temp.queue('test_operators');
-- The last step of all: the task is over with it.
select tasker.resolve_step(pg_temp.step(:task, 'c'));
select pg_temp.task(:task) as task, pg_temp.steps(:task) as steps;
select from_state, to_state, metadata from tasker.step_transitions where step_id = pg_temp.step(:task, 'a') order by step_transition_id;
select from_state, to_state, metadata from tasker.task_transitions where task_id = :task order by task_transition_id;
select * from tasker.check();

-- A pending step can be resolved before its parents; they do not start it again.
select tasker.request_task('test_operators', 'chain') as task \gset
call pg_temp.passes();
select tasker.resolve_step(pg_temp.step(:task, 'b'), '1');
select * from tasker.check();
call pg_temp.passes();
select pg_temp.steps(:task) as steps;
call pg_temp.reply(:task, 'a');
call pg_temp.reply(:task, 'c');
call pg_temp.passes();
select pg_temp.task(:task) as task, pg_temp.steps(:task) as steps;

-- What fail_fast cancelled is pending again with retry_task.
select tasker.request_task('test_operators', 'fast', tags => '{again}') as task \gset
call pg_temp.passes();
call pg_temp.reply(:task, 'a', 'failure');
call pg_temp.passes();
select pg_temp.task(:task) as task, pg_temp.steps(:task) as steps;
select count(*), min(outcome) from tasker.retry_tasks(tag => 'again');
select count(*), min(outcome) from tasker.retry_tasks(tag => 'again', dry_run => null);
select pg_temp.task(:task) as task;
select count(*), min(outcome), min(error_steps) from tasker.retry_tasks(tag => 'again', dry_run => false);
select * from tasker.check();
call pg_temp.passes();
select pg_temp.task(:task) as task, pg_temp.steps(:task) as steps;
call pg_temp.reply(:task, 'a');
call pg_temp.reply(:task, 'x');
call pg_temp.passes();
call pg_temp.reply(:task, 'b');
call pg_temp.passes();
select pg_temp.task(:task) as task, pg_temp.steps(:task) as steps;

-- A task that ran into its deadline while the last reports were on their way: all is done, and yet it is in error. Nothing is
-- left to try, so retry_task completes it.
call pg_temp.register('{"namespace_name": "test_operators", "name": "timed", "lifecycle": {"max_duration_minutes": 5}, "steps": [{"name": "a"}, {"name": "b"}]}');
select tasker.request_task('test_operators', 'timed') as timed \gset
call pg_temp.passes();
call pg_temp.take('test_operators');
select tasker.complete_step(pg_temp.step(:timed, 'a'), 1), tasker.complete_step(pg_temp.step(:timed, 'b'), 1);
call pg_temp.later('5 minutes');
select settled, finished from tasker.orchestrate(1);
call pg_temp.passes();
select pg_temp.task(:timed) as task, pg_temp.steps(:timed) as steps;
select tasker.retry_task(:timed);
select pg_temp.task(:timed) as task, pg_temp.steps(:timed) as steps;
select from_state, to_state from tasker.task_transitions where task_id = :timed order by task_transition_id;
select count(*) from tasker.open_dead_letters where task_id = :timed;
select * from tasker.check();

-- What is not in error is not retried, what is over not resolved.
\set VERBOSITY sqlstate
select tasker.retry_step(pg_temp.step(:task, 'a'));
select tasker.retry_task(:task);
select tasker.resolve_step(pg_temp.step(:task, 'a'));
select tasker.retry_step(1);
select tasker.retry_step(null);
select tasker.retry_task(99999999999);
\set VERBOSITY default

-- cancel_tasks says first what it would do. A dry_run that is not known is one.
select count(*) from tasker.request_tasks('test_operators', 'chain', '{"{}","{}"}', tags => '{stale}');
select count(*), min(outcome) from tasker.cancel_tasks(tag => 'stale');
select count(*), min(outcome) from tasker.cancel_tasks(tag => 'stale', dry_run => null);
select count(*), min(outcome) from tasker.cancel_tasks(tag => 'stale', reason => 'old', dry_run => false);
select count(*), min(outcome) from tasker.cancel_tasks(tag => 'stale', dry_run => false);

-- The newest max_tasks of those that can be cancelled, whatever else is newer.
select count(*) from tasker.request_tasks('test_operators', 'chain', '{"{}","{}"}', tags => '{older}');
select count(*) from (
  select tasker.cancel_task(t) from tasker.request_tasks('test_operators', 'chain', '{"{}","{}"}', tags => '{older}') t) newer;
select count(*), min(outcome) from tasker.cancel_tasks(tag => 'older', max_tasks => 2, dry_run => false);
select tasker.cancel_tasks(max_tasks => -1);
select tasker.retry_tasks(max_tasks => -1);

-- purge_namespace cancels all that is not over, and leaves no message: neither one whose attempt was reported without
-- deleting it, nor one of somebody else.
select count(*) from tasker.request_tasks('test_operators', 'fast', '{"{}","{}"}');
call pg_temp.passes();
select (q.message ->> 'step_id')::bigint as a from pgmq.q_test_operators_queue q order by q.msg_id limit 1 \gset
call pg_temp.send_result(jsonb_build_object('step_id', :a, 'status', 'failure'));
call pg_temp.passes();
select pgmq.send('test_operators_queue', '{"step_id": "of nobody"}') > 0 as sent;
select step_name, count(*) from pg_temp.queue('test_operators') group by 1 order by 1;
select tasker.purge_namespace('test_operators');
select count(*) from pg_temp.queue('test_operators');
select * from tasker.check();
