-- A task that runs longer than lifecycle.max_duration_minutes is stopped and ends in error.
\getenv folder PG_ABS_SRCDIR
\set helpers :folder '/helpers.sql'
\set ECHO none
\i :helpers
\set ECHO all

call pg_temp.register($$
  namespace_name: test_deadline
  name: timed
  version: 1.0.0
  lifecycle: {max_duration_minutes: 5}
  steps:
    - {name: done}
    - {name: taken, timeout_seconds: 3600}
    - {name: queued}
    - {name: failing, retry: {max_attempts: 3}}
    - {name: after, dependencies: [done, queued]}
$$);

-- The time runs from the start, not from the request.
select tasker.pause_namespace('test_deadline');
select tasker.request_task('test_deadline', 'timed') as task \gset
call pg_temp.passes();
call pg_temp.later('1 hour');
call pg_temp.passes();
select pg_temp.task(:task) as task;
select tasker.resume_namespace('test_deadline');
call pg_temp.passes();
select count(*) from tasker.poll_steps('test_deadline', step_names => '{taken}');
call pg_temp.reply(:task, 'done');
call pg_temp.reply(:task, 'failing', 'failure', '{"orchestration_metadata": {"headers": {"retry-after": "3600"}}}');
call pg_temp.passes();
call pg_temp.later('4 minutes 59.999999 seconds');
call pg_temp.passes();
select pg_temp.task(:task) as task, pg_temp.steps(:task) as steps;
call pg_temp.later('0.000001 seconds');
select * from pg_temp.pass();
select pg_temp.task(:task) as task, pg_temp.steps(:task) as steps;
select from_state, to_state, metadata from tasker.task_transitions where task_id = :task order by task_transition_id desc limit 1;
select distinct metadata from tasker.step_transitions where step_id >> 16 = :task and to_state = 'cancelled';
select * from pg_temp.queue('test_deadline');
select steps as in_flight from pg_temp.in_flight('test_deadline');

-- Whoever still works on it is told.
\set VERBOSITY sqlstate
select tasker.extend_step(pg_temp.step(:task, 'taken'), 1);
select tasker.complete_step(pg_temp.step(:task, 'taken'), 1);
call pg_temp.reply(:task, 'queued');
select * from pg_temp.pass();
call pg_temp.later('2 hours');
call pg_temp.passes();
select pg_temp.task(:task) as task, pg_temp.steps(:task) as steps;

-- Results that are there by then count: with the last of them the task is complete.
select tasker.request_task('test_deadline', 'timed') as task \gset
call pg_temp.passes();
call pg_temp.reply(:task, 'done');
call pg_temp.reply(:task, 'taken');
call pg_temp.reply(:task, 'queued');
call pg_temp.reply(:task, 'failing');
call pg_temp.passes();
call pg_temp.reply(:task, 'after');
call pg_temp.later('5 minutes');
select * from pg_temp.pass();
select pg_temp.task(:task) as task, pg_temp.steps(:task) as steps;

-- So does the report of an attempt that cannot be settled yet; with it the task ends, in error.
select tasker.request_task('test_deadline', 'timed') as task \gset
call pg_temp.passes();
call pg_temp.reply(:task, 'queued');
call pg_temp.passes();
select tasker.complete_step(pg_temp.step(:task, 'done'), 1, '"in time"');
select count(*) from pgmq.q_orchestration_step_results q, pgmq.set_vt('orchestration_step_results', q.msg_id, 3600);
call pg_temp.later('5 minutes');
select * from pg_temp.pass();
select pg_temp.task(:task) as task, pg_temp.steps(:task) as steps;
select execution_status from tasker.get_task_execution_context(:task);
select count(*) from pgmq.q_orchestration_step_results q, pgmq.set_vt('orchestration_step_results', q.msg_id, 0);
select * from pg_temp.pass();
select pg_temp.task(:task) as task, pg_temp.steps(:task) as steps;

-- A failure that is reported like this is not tried again.
select tasker.request_task('test_deadline', 'timed') as task \gset
call pg_temp.passes();
select tasker.fail_step(pg_temp.step(:task, 'failing'), 1, '"too slow"');
select count(*) from pgmq.q_orchestration_step_results q, pgmq.set_vt('orchestration_step_results', q.msg_id, 3600);
call pg_temp.later('5 minutes');
call pg_temp.passes();
select count(*) from pgmq.q_orchestration_step_results q, pgmq.set_vt('orchestration_step_results', q.msg_id, 0);
call pg_temp.passes();
select pg_temp.task(:task) as task, pg_temp.steps(:task) as steps;

-- Over before its time, a task stays what it is.
select tasker.request_task('test_deadline', 'timed') as task \gset
call pg_temp.passes();
select tasker.cancel_task(:task);
call pg_temp.later('5 minutes');
call pg_temp.passes();
select pg_temp.task(:task) as task;

select * from tasker.check();
