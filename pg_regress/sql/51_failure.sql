-- A failure for good stops what depends on it and nothing else, unless the template says fail_fast.
\getenv folder PG_ABS_SRCDIR
\set helpers :folder '/helpers.sql'
\set ECHO none
\i :helpers
\set ECHO all

-- shaky -> after_shaky -> join, solid -> after_solid -> join, slow
create temp view context as
select t.task_id, c.status, c.execution_status, c.recommended_action, c.health_status, c.completion_percentage as percent
from tasker.tasks t, tasker.get_task_execution_context(t.task_id) c;
do $$
declare
  policy text;
begin
  foreach policy in array '{continue,fail_fast}'::text[] loop
    call pg_temp.register(format($yaml$
      namespace_name: test_failure
      name: %1$s
      version: 1.0.0
      on_failure: %1$s
      steps:
        - {name: shaky, retry: {max_attempts: 2, backoff: none, backoff_base_ms: 1000, max_backoff_ms: 1000}}
        - {name: solid}
        - {name: slow}
        - {name: after_shaky, dependencies: [shaky]}
        - {name: after_solid, dependencies: [solid]}
        - {name: join, dependencies: [after_shaky, after_solid]}
    $yaml$, policy));
  end loop;
end $$;

-- Independent branches go on to their end; only then does the task end in error.
select tasker.request_task('test_failure', 'continue') as task \gset
call pg_temp.passes();
call pg_temp.reply(:task, 'shaky', 'failure', '{"error": {"message": "broken", "retryable": false}}');
call pg_temp.reply(:task, 'solid');
select * from pg_temp.pass();
select pg_temp.task(:task) as task, pg_temp.steps(:task) as steps;
select status, execution_status, recommended_action, health_status, percent from context where task_id = :task;
call pg_temp.reply(:task, 'after_solid');
call pg_temp.passes();
select pg_temp.steps(:task) as steps;
select status, execution_status, recommended_action, health_status, percent from context where task_id = :task;
call pg_temp.reply(:task, 'slow', 'failure', '{"orchestration_metadata": {"headers": {"retry-after": "60"}}}');
call pg_temp.passes();
-- Nothing is ready or in flight, a retry is still to come: not over, and not to be taken for stuck.
select pg_temp.task(:task) as task, pg_temp.steps(:task) as steps;
select status, execution_status, recommended_action, health_status, percent from context where task_id = :task;
call pg_temp.later('60 seconds');
call pg_temp.passes();
call pg_temp.reply(:task, 'slow');
select * from pg_temp.pass();
select pg_temp.task(:task) as task, pg_temp.steps(:task) as steps;
select status, execution_status, recommended_action, health_status, percent from context where task_id = :task;
select from_state, to_state, metadata from tasker.task_transitions where task_id = :task order by task_transition_id;

-- A retry that succeeds leaves no trace in the task's state.
select tasker.request_task('test_failure', 'continue') as task \gset
call pg_temp.passes();
call pg_temp.reply(:task, 'shaky', 'failure');
call pg_temp.reply(:task, 'solid');
call pg_temp.reply(:task, 'slow');
call pg_temp.passes();
call pg_temp.reply(:task, 'after_solid');
call pg_temp.passes();
select pg_temp.steps(:task) as steps, execution_status, health_status from context where task_id = :task;
call pg_temp.later('1 second');
call pg_temp.passes();
call pg_temp.reply(:task, 'shaky');
call pg_temp.passes();
call pg_temp.reply(:task, 'after_shaky');
call pg_temp.passes();
call pg_temp.reply(:task, 'join');
call pg_temp.passes();
select pg_temp.task(:task) as task, pg_temp.steps(:task) as steps;

-- fail_fast: with the last try of one step the rest is cancelled and its messages withdrawn, and the task ends at once.
select tasker.request_task('test_failure', 'fail_fast') as task \gset
call pg_temp.passes();
call pg_temp.reply(:task, 'shaky', 'failure');
call pg_temp.reply(:task, 'solid');
call pg_temp.passes();
select pg_temp.task(:task) as task, pg_temp.steps(:task) as steps;
call pg_temp.later('1 second');
call pg_temp.passes();
call pg_temp.reply(:task, 'shaky', 'failure');
select * from pg_temp.pass();
select pg_temp.task(:task) as task, pg_temp.steps(:task) as steps;
select to_state, metadata from tasker.task_transitions where task_id = :task order by task_transition_id desc limit 1;
select * from pg_temp.queue('test_failure');
call pg_temp.reply(:task, 'slow');
select * from pg_temp.pass();

-- A success that comes in the same pass as the fatal failure counts, in either order; what it makes ready is cancelled.
-- None of this is cause for a pass to fail: no pass was repeated in isolation.
set client_min_messages = log;
select tasker.request_task('test_failure', 'fail_fast') as task \gset
call pg_temp.passes();
call pg_temp.reply(:task, 'shaky', 'failure', '{"error": {"retryable": false}}');
call pg_temp.reply(:task, 'solid', 'success', '{"result_data": 1}');
select * from pg_temp.pass();
select pg_temp.task(:task) as task, pg_temp.steps(:task) as steps;
select tasker.request_task('test_failure', 'fail_fast') as task \gset
call pg_temp.passes();
call pg_temp.reply(:task, 'solid', 'success', '{"result_data": 1}');
call pg_temp.reply(:task, 'slow', 'success');
call pg_temp.reply(:task, 'shaky', 'failure', '{"error": {"retryable": false}}');
select * from pg_temp.pass();
select pg_temp.task(:task) as task, pg_temp.steps(:task) as steps;

-- So does a success that its worker reported while the attempt was its own.
select tasker.request_task('test_failure', 'fail_fast') as task \gset
call pg_temp.passes();
call pg_temp.reply(:task, 'shaky', 'failure', '{"error": {"retryable": false}}');
select tasker.complete_step(pg_temp.step(:task, 'solid'), 1);
select * from pg_temp.pass();
select pg_temp.task(:task) as task, pg_temp.steps(:task) as steps;

-- Two fatal failures at once are one end.
select tasker.request_task('test_failure', 'fail_fast') as task \gset
call pg_temp.passes();
call pg_temp.reply(:task, 'shaky', 'failure', '{"error": {"retryable": false}}');
call pg_temp.reply(:task, 'slow', 'failure', '{"error": {"retryable": false}}');
call pg_temp.reply(:task, 'solid', 'failure');
select * from pg_temp.pass();
select pg_temp.task(:task) as task, pg_temp.steps(:task) as steps;
reset client_min_messages;

select steps as in_flight from pg_temp.in_flight('test_failure');
select * from tasker.check();
