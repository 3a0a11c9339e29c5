-- Steps that the template calls skippable are skipped on request, and count as completed.
\getenv folder PG_ABS_SRCDIR
\set helpers :folder '/helpers.sql'
\set ECHO none
\i :helpers
\set ECHO all

call pg_temp.register($$
  namespace_name: test_bypass
  name: diamond
  version: 1.0.0
  steps:
    - {name: root, skippable: true}
    - {name: left, dependencies: [root], skippable: true}
    - {name: right, dependencies: [root]}
    - {name: join, dependencies: [left, right], skippable: true}
$$);
call pg_temp.register($$
  namespace_name: test_bypass
  name: optional
  version: 1.0.0
  steps:
    - {name: first, skippable: true}
    - {name: second, dependencies: [first], skippable: true}
$$);

-- The root: what depends on it is ready from the start.
select tasker.request_task('test_bypass', 'diamond', bypass_steps => '{root}') as task \gset
select * from pg_temp.pass();
select pg_temp.steps(:task) as steps;
select completed_steps, enqueued_steps, execution_status, completion_percentage from tasker.get_task_execution_context(:task);
select from_state, to_state, attempt, metadata from tasker.step_transitions where step_id = pg_temp.step(:task, 'root');

-- In the midst: the join waits for the other parent alone, and gets no results of the skipped one.
select tasker.request_task('test_bypass', 'diamond', bypass_steps => '{left}') as task \gset
call pg_temp.passes();
call pg_temp.reply(:task, 'root', 'success', '{"result_data": 1}');
call pg_temp.passes();
select pg_temp.steps(:task) as steps;
call pg_temp.reply(:task, 'right', 'success', '{"result_data": 2}');
call pg_temp.passes();
select pg_temp.steps(:task) as steps;
select s.value ->> 'step_name' as parent, s.value -> 'results' as results
from tasker.poll_steps('test_bypass', step_names => '{join}') p, jsonb_array_elements(p.message #> '{execution_context,sequence}') s;

-- The end: the task is over without it. Named twice is named once.
select tasker.request_task('test_bypass', 'diamond', bypass_steps => '{join,root,join}') as task \gset
call pg_temp.passes();
call pg_temp.reply(:task, 'left');
call pg_temp.reply(:task, 'right');
select * from pg_temp.pass();
select pg_temp.task(:task) as task, pg_temp.steps(:task) as steps;

-- A skipped child of a step that fails stays skipped.
select tasker.request_task('test_bypass', 'diamond', bypass_steps => '{join}') as task \gset
call pg_temp.passes();
call pg_temp.reply(:task, 'root', 'failure', '{"error": {"retryable": false}}');
call pg_temp.passes();
select pg_temp.task(:task) as task, pg_temp.steps(:task) as steps;

-- All of them: complete at once, in the pass that starts it.
select tasker.request_task('test_bypass', 'optional', bypass_steps => '{first,second}') as task \gset
select * from pg_temp.pass();
select pg_temp.task(:task) as task, pg_temp.steps(:task) as steps;
select from_state, to_state from tasker.task_transitions where task_id = :task order by task_transition_id;
select completed_steps, execution_status, recommended_action, completion_percentage from tasker.get_task_execution_context(:task);

-- What is not skippable, or not there, is refused; by the queue as well.
\set VERBOSITY terse
select tasker.request_task('test_bypass', 'diamond', bypass_steps => '{left,right,nope}');
select coalesce(max(rejected_message_id), 0) as before from tasker.rejected_messages \gset
select count(*) from pgmq.send('orchestration_task_requests', '{"namespace": "test_bypass", "name": "diamond", "context": {}, "bypass_steps": ["right"]}');
select count(*) from pgmq.send('orchestration_task_requests', '{"namespace": "test_bypass", "name": "optional", "context": {}, "bypass_steps": ["first", "second"]}');
select * from pg_temp.pass();
select reason from tasker.rejected_messages where rejected_message_id > :before;

select * from tasker.check();
