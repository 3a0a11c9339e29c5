-- Tasks that are not to start before their run_at.
\getenv folder PG_ABS_SRCDIR
\set helpers :folder '/helpers.sql'
\set ECHO none
\i :helpers
\set ECHO all

call pg_temp.register('{"namespace_name": "test_run_at", "name": "later", "steps": [{"name": "a"}]}');
create function pg_temp.delayed(text)
returns table (reason text, state text, run_at timestamptz, created_at timestamptz, started_at timestamptz)
language sql
as $$ select t.reason, t.state, t.run_at, t.created_at, t.started_at from tasker.tasks t join tasker.namespaces n using (namespace_id) where n.name = 'test_run_at' and t.source_system = $1 order by t.task_id $$;

-- A task that is due later does nothing until then: no row waits, one timer does, and the pass says when to come back.
select tasker.request_task('test_run_at', 'later', run_at => '2040-01-01 01:00:00+00', reason => 'in an hour', source_system => 'one') as task \gset
select count(*) as waiting from tasker.waiting w where w.task_id = :task;
select t.kind, t.fire_at from tasker.timers t where t.task_id = :task;
select started, enqueued, more, next_due_at <= '2040-01-01 01:00:00+00' as comes_back_in_time from tasker.orchestrate();
select execution_status, status, ready_steps from tasker.get_task_execution_context(:task);
select ready_for_execution from tasker.get_step_readiness_status(:task);
select fact from tasker.explain_task(:task) e where e.subject like 'task %';

-- A moment before, it does nothing still; at its time it starts.
set tasker.fake_now = '2040-01-01 00:59:59.999+00';
select started, enqueued, next_due_at from tasker.orchestrate();
set tasker.fake_now = '2040-01-01 01:00:00+00';
select ready_for_execution from tasker.get_step_readiness_status(:task);
select fired > 0 as fired, started, enqueued from tasker.orchestrate();
select * from pg_temp.delayed('one');
select count(*) as timers from tasker.timers t where t.task_id = :task;

-- A time that is over is no delay; neither is the very moment.
select tasker.request_task('test_run_at', 'later', run_at => '2039-01-01 00:00:00+00', source_system => 'past', reason => 'a year ago') > 0 as requested;
select tasker.request_task('test_run_at', 'later', run_at => tasker.clock(), source_system => 'past', reason => 'now') > 0 as requested;
select started, enqueued from pg_temp.pass();
select * from pg_temp.delayed('past');

-- Many at once start in one pass, from the time on at which they are due; those that are later stay.
select count(*) from tasker.request_tasks('test_run_at', 'later', array_fill('{}'::jsonb, array[3]), run_at => '2040-01-01 02:00:00+00', source_system => 'many', reason => 'two');
select count(*) from tasker.request_tasks('test_run_at', 'later', array_fill('{}'::jsonb, array[2]), run_at => '2040-01-01 03:00:00+00', source_system => 'many', reason => 'three');
set tasker.fake_now = '2040-01-01 02:30:00+00';
select started, enqueued from pg_temp.pass();
select reason, state, started_at from pg_temp.delayed('many');

-- What is due waits since then, not since it was requested: so it does not overtake what waits longer.
select tasker.set_namespace_limit('test_run_at', 1);
select tasker.request_task('test_run_at', 'later', source_system => 'order', reason => 'requested at half past two') as early \gset
set tasker.fake_now = '2040-01-01 03:10:00+00';
select started, enqueued from pg_temp.pass();
select r.since, r.age from tasker.ready_tasks r where r.namespace = 'test_run_at' order by r.since;

-- Cancelled before it is due, it never starts.
select tasker.request_task('test_run_at', 'later', run_at => '2040-01-01 04:00:00+00') as cancelled \gset
select tasker.cancel_task(:cancelled);
set tasker.fake_now = '2040-01-01 04:00:00+00';
call pg_temp.passes();
select pg_temp.task(:cancelled) as task, (select count(*) from tasker.steps s where s.task_id = :cancelled) as steps, (select count(*) from tasker.timers t where t.task_id = :cancelled) as timers;

-- By the request queue, with an offset from UTC and a fraction of a second.
select pgmq.send('orchestration_task_requests', '{"namespace": "test_run_at", "name": "later", "context": {}, "source_system": "queue", "run_at": "2040-01-01T00:00:00.5-05:30"}') > 0 as sent;
select accepted, started from pg_temp.pass();
select run_at, state from pg_temp.delayed('queue');
select * from tasker.check();
