-- A diamond, looked at after every single step.
\getenv folder PG_ABS_SRCDIR
\set helpers :folder '/helpers.sql'
\set looking :folder '/looking.sql'
\set ECHO none
\i :helpers
\i :looking
\set ECHO all

call pg_temp.register($$
  namespace_name: test_diamond
  name: diamond
  version: 1.0.0
  steps:
    - {name: top}
    - {name: left, dependencies: [top]}
    - {name: right, dependencies: [top]}
    - {name: bottom, dependencies: [left, right]}
$$);
select tasker.request_task('test_diamond', 'diamond') as task \gset
select * from pg_temp.pass();
:look

-- top is done: left and right go to the queue together.
call pg_temp.begin_step('test_diamond', 'top');
call pg_temp.end_step(:task, 'top');
select * from pg_temp.pass();
:look

-- One parent of two: bottom waits.
call pg_temp.reply(:task, 'right');
select * from pg_temp.pass();
:look

-- With left in the hands of a worker.
call pg_temp.begin_step('test_diamond', 'left');
:look

-- While the namespace is paused bottom becomes ready and is not enqueued.
select tasker.pause_namespace('test_diamond');
call pg_temp.end_step(:task, 'left');
select * from pg_temp.pass();
:look
select v.step_name, v.attempts, v.max_attempts, v.level from tasker.get_viable_steps(:task) v;
select tasker.resume_namespace('test_diamond');
select * from pg_temp.pass();
:look
select v.step_name from tasker.get_viable_steps(:task) v;

call pg_temp.reply(:task, 'bottom');
select * from pg_temp.pass();
:look

-- Both sides reported between two passes, and their results settled in one: bottom is released once.
select tasker.request_task('test_diamond', 'diamond') as task \gset
call pg_temp.passes();
call pg_temp.reply(:task, 'top');
call pg_temp.passes();
call pg_temp.begin_step('test_diamond', 'left');
call pg_temp.reply(:task, 'right');
call pg_temp.end_step(:task, 'left');
select * from pg_temp.pass();
:look
select count(*) as messages from pg_temp.queue('test_diamond');
call pg_temp.reply(:task, 'bottom');
select * from pg_temp.pass();
select pg_temp.task(:task) as task;
select l.name, l.dependency_level from tasker.calculate_dependency_levels(:task) l;
select steps as in_flight from pg_temp.in_flight('test_diamond');
select * from tasker.check();
