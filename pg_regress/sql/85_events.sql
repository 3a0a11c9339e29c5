-- Ends of tasks and steps are published where the template asks for it, in the transaction that ends them.
\getenv folder PG_ABS_SRCDIR
\set helpers :folder '/helpers.sql'
\set ECHO none
\i :helpers
\set ECHO all

call pg_temp.register($yaml$
namespace_name: test_events
name: loud
events: {task: [completed, failed, cancelled], step: [completed, failed]}
steps:
  - {name: a, retry: {max_attempts: 2, backoff: none, backoff_base_ms: 1000, max_backoff_ms: 1000}}
$yaml$);
call pg_temp.register('{"namespace_name": "test_events", "name": "failures", "events": {"task": ["failed"]}, "steps": [{"name": "a", "retry": {"max_attempts": 1}}]}');
call pg_temp.register('{"namespace_name": "test_silence", "name": "silent", "steps": [{"name": "a"}]}');
create temp view events as
select q.message ->> 'event' as event, q.message ->> 'outcome' as outcome, q.message ->> 'namespace' as namespace,
  q.message ->> 'task_name' as task_name, q.message ->> 'step_name' as step_name, q.message ->> 'occurred_at' as occurred_at,
  t.reason, (q.message ->> 'correlation_id')::uuid = t.correlation_id as correlated
from pgmq.q_test_events_events q
join tasker.tasks t on t.task_id = (q.message ->> 'task_id')::bigint
order by q.msg_id;

-- The queue is there from the first template that asks, and only then.
select queue_name from pgmq.meta where queue_name in ('test_events_events', 'test_silence_events');

-- A try that is to be repeated is no end.
select tasker.request_task('test_events', 'loud', reason => 'good') as good, tasker.request_task('test_events', 'loud', reason => 'bad') as bad,
  tasker.request_task('test_events', 'failures', reason => 'quiet') as quiet, tasker.request_task('test_silence', 'silent') as silent \gset
call pg_temp.passes();
call pg_temp.reply(:good, 'a', 'failure');
call pg_temp.reply(:bad, 'a', 'failure');
call pg_temp.passes();
select * from events;
call pg_temp.later('2 seconds');
call pg_temp.passes();
call pg_temp.reply(:good, 'a');
call pg_temp.reply(:bad, 'a', 'failure');
call pg_temp.reply(:quiet, 'a');
call pg_temp.reply(:silent, 'a');
call pg_temp.passes();
select * from events;
select count(*) from pgmq.pop('test_events_events', 100);

-- Event queues stand beside the others, without what concerns steps.
select queue_name, is_there, depth, in_flight, max_in_flight, paused from tasker.queue_status where namespace in ('test_events', 'test_silence');

-- Cancelled and resolved by hand.
select tasker.request_task('test_events', 'loud', reason => 'cancelled') as cancelled \gset
select tasker.cancel_task(:cancelled);
select tasker.resolve_step(pg_temp.step(:bad, 'a'));
select event, outcome, step_name, reason from events;

-- A person's call does not notify: the next pass does.
set tasker.notify = on;
select tasker.request_task('test_events', 'loud') as notified \gset
select tasker.cancel_task(:notified);
select count(*) from tasker.held_events where message is null;
call pg_temp.passes();
select count(*) from tasker.held_events;
select count(*) from events where event = 'task_cancelled';
reset tasker.notify;
-- Autovacuum never holds a queue as a whole, or events of that moment were lost.
select relname, array_to_string(array(select o from unnest(reloptions) o where o like 'vacuum_truncate=%'), '') as option
from pg_class
where relnamespace = 'pgmq'::regnamespace and relname in ('q_test_events_events', 'q_test_events_queue', 'q_orchestration_step_results')
order by relname;

-- A dropped event queue stops nothing.
drop view events;
select pgmq.drop_queue('test_events_events');
select tasker.request_task('test_events', 'loud') as task \gset
call pg_temp.passes();
call pg_temp.reply(:task, 'a');
call pg_temp.passes();
select pg_temp.task(:task) as task;
select * from tasker.check();
