-- A mixed graph of seven steps, described out of order, looked at after every single step.
\getenv folder PG_ABS_SRCDIR
\set helpers :folder '/helpers.sql'
\set looking :folder '/looking.sql'
\set ECHO none
\i :helpers
\i :looking
\set ECHO all

call pg_temp.register($$
  namespace_name: test_mixed
  name: mixed
  version: 1.0.0
  steps:
    - {name: finalize, dependencies: [validate, transform, analyze]}
    - {name: validate, dependencies: [left, right]}
    - {name: transform, dependencies: [left]}
    - {name: analyze, dependencies: [right, init]}
    - {name: left, dependencies: [init]}
    - {name: right, dependencies: [init]}
    - {name: init}
$$);
select tasker.request_task('test_mixed', 'mixed') as task \gset
select l.name, l.dependency_level from tasker.calculate_dependency_levels(:task) l;
select * from pg_temp.pass();
:look
call pg_temp.begin_step('test_mixed', 'init');
call pg_temp.end_step(:task, 'init');
select * from pg_temp.pass();
:look
call pg_temp.reply(:task, 'left');
select * from pg_temp.pass();
:look
-- transform ends before right: of the three that finalize waits for, one is done.
call pg_temp.begin_step('test_mixed', 'transform');
call pg_temp.end_step(:task, 'transform');
select * from pg_temp.pass();
:look
call pg_temp.reply(:task, 'right');
select * from pg_temp.pass();
:look
call pg_temp.begin_step('test_mixed', 'analyze');
call pg_temp.end_step(:task, 'analyze');
select * from pg_temp.pass();
:look
call pg_temp.reply(:task, 'validate');
select * from pg_temp.pass();
:look
call pg_temp.begin_step('test_mixed', 'finalize');
call pg_temp.end_step(:task, 'finalize');
select * from pg_temp.pass();
:look

-- The same of several tasks at once, and only of some steps.
select tasker.request_task('test_mixed', 'mixed') as other \gset
select c.task_id = :task as first, c.status, c.total_steps, c.completed_steps, c.ready_steps, c.execution_status
from tasker.get_task_execution_contexts(array[:other, :task, 0]) c;
select r.name, r.ready_for_execution from tasker.get_step_readiness_status(:other, array[pg_temp.step(:other, 'init'), pg_temp.step(:other, 'left'), pg_temp.step(:task, 'right'), 0]) r;

-- A task that does not exist is an error; so is NULL.
select * from tasker.get_task_execution_context(0);
select * from tasker.get_step_readiness_status(0);
select * from tasker.get_viable_steps(0);
select * from tasker.calculate_dependency_levels(0);
select * from tasker.get_task_execution_context(null);
select * from tasker.get_task_execution_contexts(null);
select * from tasker.check();
