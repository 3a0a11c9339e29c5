-- A chain of four steps, looked at after every single step.
\getenv folder PG_ABS_SRCDIR
\set helpers :folder '/helpers.sql'
\set looking :folder '/looking.sql'
\set ECHO none
\i :helpers
\i :looking
\set ECHO all

call pg_temp.register($$
  namespace_name: test_linear
  name: linear
  version: 1.0.0
  steps:
    - {name: a}
    - {name: b, dependencies: [a]}
    - {name: c, dependencies: [b]}
    - {name: d, dependencies: [c]}
$$);
select tasker.request_task('test_linear', 'linear') as task \gset

-- Requested: nothing has started, the root is ready.
:look
select * from pg_temp.pass();
-- a is in the queue.
:look
select * from pg_temp.queue('test_linear');
-- Nothing happens, so nothing changes.
select * from pg_temp.pass();

-- A plain worker answers for a: until the next pass the engine knows nothing of it.
call pg_temp.reply(:task, 'a', 'success', '{"result_data": {"of": "a"}}');
:look
select * from pg_temp.pass();
:look

-- A worker that uses the functions takes b, then reports.
call pg_temp.begin_step('test_linear', 'b');
:look
call pg_temp.end_step(:task, 'b', '{"of": "b"}');
:look
select * from pg_temp.pass();
:look

-- c by plain pgmq, d by functions.
call pg_temp.reply(:task, 'c', 'success', '{"result_data": {"of": "c"}}');
select * from pg_temp.pass();
:look
call pg_temp.begin_step('test_linear', 'd');
call pg_temp.end_step(:task, 'd', '{"of": "d"}');
select * from pg_temp.pass();
:look

-- Finished: results, history and what wait_for_task says.
select * from tasker.wait_for_task(:task);
select t.step_name, t.state, t.attempts, t.results from tasker.task_results(:task) t;
select s.step_name, x.from_state, x.to_state, x.attempt from tasker.step_transitions x join tasker.step_status s using (step_id) where s.task_id = :task order by x.step_transition_id;
select x.from_state, x.to_state from tasker.task_transitions x where x.task_id = :task order by x.task_transition_id;
select l.name, l.dependency_level from tasker.calculate_dependency_levels(:task) l;
select * from pg_temp.queue('test_linear');
select steps as in_flight from pg_temp.in_flight('test_linear');
select * from tasker.check();
