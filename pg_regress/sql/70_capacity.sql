-- A namespace never has more steps in flight than its limit; what finds no room waits.
\getenv folder PG_ABS_SRCDIR
\set helpers :folder '/helpers.sql'
\set ECHO none
\i :helpers
\set ECHO all

select tasker.create_namespace('test_capacity', max_in_flight => 3) > 0 as created;
call pg_temp.register($$
  namespace_name: test_capacity
  name: one
  version: 1.0.0
  steps: [{name: it, retry: {max_attempts: 3, backoff: none, backoff_base_ms: 1000, max_backoff_ms: 1000}}]
$$);
call pg_temp.register($$
  namespace_name: test_capacity
  name: fan
  version: 1.0.0
  steps:
    - {name: root}
    - {name: a, dependencies: [root]}
    - {name: b, dependencies: [root]}
    - {name: c, dependencies: [root]}
    - {name: d, dependencies: [root]}
    - {name: e, dependencies: [root]}
$$);
create temp view status as
select s.status, s.max_in_flight, s.in_flight, s.room, s.waiting_tasks, s.waiting_steps, q.depth as queued
from tasker.namespace_status s
join tasker.queue_status q using (namespace)
where s.namespace = 'test_capacity';

-- Tasks beyond the limit do not start. Taking a message frees nothing, a result does, and so does a wait for a retry.
select tasker.request_task('test_capacity', 'one') as one, tasker.request_task('test_capacity', 'one') as two, tasker.request_task('test_capacity', 'one') as three \gset
select count(*) from tasker.request_tasks('test_capacity', 'one', array_fill('{}'::jsonb, array[3]));
select * from pg_temp.pass();
select * from status;
call pg_temp.take('test_capacity', 2);
select count(*) from tasker.poll_steps('test_capacity', 10);
select * from pg_temp.pass();
select * from status;
call pg_temp.reply(:one, 'it');
select * from pg_temp.pass();
call pg_temp.reply(:two, 'it', 'failure');
select * from pg_temp.pass();
select * from status;
-- The retry waits in its turn when it is due: it comes before the tasks that have not started.
call pg_temp.later('1 second');
select * from pg_temp.pass();
select * from status;
call pg_temp.reply(:three, 'it');
select * from pg_temp.pass();
select * from status;
select pg_temp.steps(:two) as steps;
call pg_temp.quiet();
select * from status;

-- A fan-out wider than the room.
select tasker.request_task('test_capacity', 'fan') as task \gset
call pg_temp.passes();
call pg_temp.reply(:task, 'root');
select * from pg_temp.pass();
select pg_temp.steps(:task) as steps;
select * from status;
select * from pg_temp.pass();
call pg_temp.reply(:task, 'b');
select * from pg_temp.pass();
select pg_temp.steps(:task) as steps;

-- A lower limit takes nothing back, a higher one makes room at once.
select tasker.set_namespace_limit('test_capacity', 2);
call pg_temp.reply(:task, 'a');
select * from pg_temp.pass();
select * from status;
select tasker.set_namespace_limit('test_capacity', 3);
select * from pg_temp.pass();
select * from status;

-- No limit.
select tasker.set_namespace_limit('test_capacity', null);
select count(*) from tasker.request_tasks('test_capacity', 'one', array_fill('{}'::jsonb, array[100]));
select * from pg_temp.pass();
select * from status;
call pg_temp.quiet();

-- The limit holds whatever the size of a batch, and in the last pass of a batch as in the first.
select tasker.set_namespace_limit('test_capacity', 10);
select count(*) from tasker.request_tasks('test_capacity', 'one', array_fill('{}'::jsonb, array[12]));
select started, enqueued, more from tasker.orchestrate(batch_size => 4);
select started, enqueued, more from tasker.orchestrate(batch_size => 4);
select started, enqueued, more from tasker.orchestrate(batch_size => 4);
select started, enqueued, more from tasker.orchestrate(batch_size => 4);
select * from status;
call pg_temp.quiet();

-- Paused, a namespace enqueues nothing; results are settled all the same, and what they make ready waits.
select tasker.request_task('test_capacity', 'fan') as task \gset
call pg_temp.passes();
select tasker.pause_namespace('test_capacity');
select tasker.request_task('test_capacity', 'one') as one \gset
call pg_temp.reply(:task, 'root');
select * from pg_temp.pass();
select pg_temp.steps(:task) as steps, pg_temp.task(:one) as one;
select * from status;
select tasker.resume_namespace('test_capacity');
select * from pg_temp.pass();
select * from status;
call pg_temp.quiet();

-- A new namespace has the limit of the setting as it is then; 0 is no limit that could be set.
set tasker.max_in_flight = 7;
select tasker.create_namespace('test_capacity_b') > 0 as created;
reset tasker.max_in_flight;
select tasker.create_namespace('test_capacity_c') > 0 as created, tasker.create_namespace('test_capacity_d', max_in_flight => null) > 0 as created;
select tasker.create_namespace('test_capacity_b') > 0 as known;
select name, max_in_flight from tasker.namespaces where name like 'test\_capacity\__' order by name;
\set VERBOSITY terse
select tasker.set_namespace_limit('test_capacity', 0);
select tasker.create_namespace('test_capacity_e', max_in_flight => 0);
\set VERBOSITY sqlstate
select tasker.set_namespace_limit('test_capacity_e', 1), tasker.pause_namespace('test_capacity_e');
select tasker.pause_namespace('test_capacity_e');
select tasker.resume_namespace('test_capacity_e');

-- Many passes: never more than the limit, never less than it while work waits, and what they count stays few rows.
select tasker.set_namespace_limit('test_capacity', 5);
create temp table seen (pass integer, in_flight bigint, rows bigint, really bigint, waiting bigint);
do $$
declare
  first bigint;
  step  record;
begin
  select min(t) into first from tasker.request_tasks('test_capacity', 'fan', array_fill('{}'::jsonb, array[60])) t;
  for pass in 1 .. 300 loop
    perform tasker.orchestrate();
    insert into seen
    select pass, f.steps, f.rows,
      (select count(*) from tasker.steps s where s.step_id > first << 16 and s.state in ('enqueued', 'in_progress')),
      (select count(*) from tasker.ready_tasks r where r.namespace = 'test_capacity')
    from pg_temp.in_flight('test_capacity') f;
    -- One or two or three of those in flight end, now and then as a failure.
    for step in
      select s.task_id, s.step_name, s.step_id
      from tasker.step_status s
      where s.step_id > first << 16 and s.state = 'enqueued'
      order by s.step_id
      limit 1 + pass % 3
    loop
      call pg_temp.reply(step.task_id, step.step_name, case when step.step_id % 7 = 0 then 'failure' else 'success' end);
    end loop;
  end loop;
end $$;
select max(in_flight) as most, bool_and(in_flight = really) as counted_right, bool_and(in_flight = 5 or waiting = 0) as never_idle, max(rows) <= 70 as few_rows
from seen;
select tasker.set_namespace_limit('test_capacity', null);
call pg_temp.passes();
select in_flight = (select count(*) from tasker.step_status s where s.namespace = 'test_capacity' and s.state = 'enqueued') as counted_right, room, waiting_tasks, waiting_steps
from status;

select * from tasker.check();
