-- A tree of eight steps, looked at after every single step.
\getenv folder PG_ABS_SRCDIR
\set helpers :folder '/helpers.sql'
\set looking :folder '/looking.sql'
\set ECHO none
\i :helpers
\i :looking
\set ECHO all

call pg_temp.register($$
  namespace_name: test_tree
  name: tree
  version: 1.0.0
  steps:
    - {name: root}
    - {name: left, dependencies: [root]}
    - {name: right, dependencies: [root]}
    - {name: left_one, dependencies: [left]}
    - {name: left_two, dependencies: [left]}
    - {name: right_one, dependencies: [right]}
    - {name: right_two, dependencies: [right]}
    - {name: together, dependencies: [left_one, left_two, right_one, right_two]}
$$);
select tasker.request_task('test_tree', 'tree') as task \gset
select l.name, l.dependency_level from tasker.calculate_dependency_levels(:task) l;
:look
select * from pg_temp.pass();
:look
call pg_temp.reply(:task, 'root');
select * from pg_temp.pass();
:look
-- One branch runs ahead of the other.
call pg_temp.begin_step('test_tree', 'left');
call pg_temp.end_step(:task, 'left');
select * from pg_temp.pass();
:look
call pg_temp.reply(:task, 'left_two');
select * from pg_temp.pass();
:look
call pg_temp.begin_step('test_tree', 'left_one');
call pg_temp.end_step(:task, 'left_one');
select * from pg_temp.pass();
:look
call pg_temp.reply(:task, 'right');
select * from pg_temp.pass();
:look
call pg_temp.begin_step('test_tree', 'right_one');
call pg_temp.end_step(:task, 'right_one');
select * from pg_temp.pass();
:look
call pg_temp.reply(:task, 'right_two');
select * from pg_temp.pass();
:look
call pg_temp.begin_step('test_tree', 'together');
call pg_temp.end_step(:task, 'together');
select * from pg_temp.pass();
:look
select count(*) as transitions, count(distinct x.step_id) as steps from tasker.step_transitions x where x.step_id >> 16 = :task;
select steps as in_flight from pg_temp.in_flight('test_tree');
select * from tasker.check();
