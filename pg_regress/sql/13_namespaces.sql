-- Namespaces: made, limited, paused and dropped.
\getenv folder PG_ABS_SRCDIR
\set helpers :folder '/helpers.sql'
\set ECHO none
\i :helpers
\set ECHO all

-- A namespace is made with its queue, and by its name it is found again.
select tasker.create_namespace('test_namespaces', 'for these tests', 5) as ns \gset
select n.name, n.description, n.max_in_flight, n.paused from tasker.namespaces n where n.namespace_id = :ns;
select count(*) from pgmq.list_queues() q where q.queue_name = 'test_namespaces_queue';
select tasker.create_namespace('test_namespaces', 'other words', 7) = :ns as as_it_is;
-- Its queue has one index, whatever it holds: that by which messages are taken.
select c.relname from pg_index i join pg_class c on c.oid = i.indexrelid where i.indrelid = 'pgmq.q_test_namespaces_queue'::regclass;
select n.description, n.max_in_flight from tasker.namespaces n where n.namespace_id = :ns;

-- Its queue belongs to tasker_owner, is read by plain workers, and nobody may send to it.
select pg_get_userbyid(c.relowner) as owner, has_table_privilege('tasker_worker', c.oid, 'select') and has_column_privilege('tasker_worker', c.oid, 'vt', 'update')
    and has_table_privilege('tasker_worker', c.oid, 'delete') as worker_may_take,
  has_column_privilege('tasker_worker', c.oid, 'message', 'insert, update') as worker_may_send, has_table_privilege('tasker_requester', c.oid, 'select') as requester_may_read
from pg_class c
where c.oid = 'pgmq.q_test_namespaces_queue'::regclass;

-- A queue that was dropped by hand is made again.
select pgmq.drop_queue('test_namespaces_queue');
select tasker.create_namespace('test_namespaces') = :ns as as_it_is;
select count(*) from pgmq.list_queues() q where q.queue_name = 'test_namespaces_queue';

-- Names.
select tasker.create_namespace('');
select tasker.create_namespace('Shop');
select tasker.create_namespace('2a');
select tasker.create_namespace('a-b');
select tasker.create_namespace(repeat('x', 30));
select tasker.create_namespace(null);
select tasker.create_namespace('test_' || repeat('x', 24)) > 0 as twenty_nine_are_good;
select tasker.drop_namespace('test_' || repeat('x', 24));

-- A queue of that name which is not ours is refused, and left alone.
select pgmq.create('test_foreign_queue');
select tasker.create_namespace('test_foreign');
select tasker.register_template('{"namespace_name": "test_foreign", "name": "a", "steps": [{"name": "a"}]}');
select count(*) as namespaces from tasker.namespaces n where n.name = 'test_foreign';
select pgmq.send('test_foreign_queue', '{}') > 0 as still_there;
select pgmq.drop_queue('test_foreign_queue');

-- Left out, the limit is that of the setting at the time; NULL is none; less than one is refused.
begin;
set local tasker.max_in_flight = 3;
select tasker.create_namespace('test_limit_setting') > 0 as created;
commit;
select tasker.create_namespace('test_limit_none', max_in_flight => null) > 0 as created;
select tasker.create_namespace('test_limit_zero', max_in_flight => 0);
select n.name, n.max_in_flight from tasker.namespaces n where n.name like 'test\_limit\_%' order by n.name;
select tasker.set_namespace_limit('test_limit_setting', null);
select tasker.set_namespace_limit('test_limit_none', 1);
select tasker.set_namespace_limit('test_limit_none', 0);
\set VERBOSITY terse
select tasker.set_namespace_limit('test_nowhere', 1);
\set VERBOSITY default
select n.name, n.max_in_flight from tasker.namespaces n where n.name like 'test\_limit\_%' order by n.name;
select tasker.drop_namespace('test_limit_setting');

-- The limit holds: of seven steps five are enqueued, the rest waits; a higher limit lets more out.
call pg_temp.register('{"namespace_name": "test_namespaces", "name": "one", "steps": [{"name": "a"}]}');
select count(*) from tasker.request_tasks('test_namespaces', 'one', array_fill('{}'::jsonb, array[7]));
select started, enqueued from pg_temp.pass();
select started, enqueued from pg_temp.pass();
select status, in_flight, room, waiting_tasks, waiting_steps from tasker.namespace_status where namespace = 'test_namespaces';
select tasker.set_namespace_limit('test_namespaces', 6);
select started, enqueued from pg_temp.pass();
-- Lowered below what is in flight, it leaves that alone and lets nothing out.
select tasker.set_namespace_limit('test_namespaces', 1);
select started, enqueued from pg_temp.pass();
select status, in_flight, room, waiting_tasks, waiting_steps from tasker.namespace_status where namespace = 'test_namespaces';
select tasker.set_namespace_limit('test_namespaces', null);
select started, enqueued from pg_temp.pass();
select status, in_flight, room, waiting_tasks, waiting_steps from tasker.namespace_status where namespace = 'test_namespaces';

-- Paused, nothing is enqueued, and what is at workers is settled all the same; resumed, it goes on.
call pg_temp.register('{"namespace_name": "test_namespaces", "name": "two", "steps": [{"name": "first"}, {"name": "second", "depends_on": "first"}]}');
select tasker.request_task('test_namespaces', 'two') as task \gset
call pg_temp.passes();
select tasker.pause_namespace('test_namespaces');
call pg_temp.reply(:task, 'first');
select tasker.request_task('test_namespaces', 'one') as later \gset
select settled, started, enqueued from pg_temp.pass();
select pg_temp.steps(:task) as steps, pg_temp.task(:later) as later;
select status, waiting_tasks, waiting_steps from tasker.namespace_status where namespace = 'test_namespaces';
select tasker.resume_namespace('test_namespaces');
select started, enqueued from pg_temp.pass();
select pg_temp.steps(:task) as steps, pg_temp.task(:later) as later;

-- Dropped: not while tasks are unfinished, unless it is said.
\set VERBOSITY terse
select tasker.drop_namespace('test_namespaces');
select tasker.drop_namespace('test_namespaces', force => null);
select tasker.drop_namespace('test_nowhere');
select tasker.pause_namespace('test_nowhere');
select tasker.resume_namespace(null);
\set VERBOSITY default
select tasker.drop_namespace('test_namespaces', force => true);
select (select count(*) from tasker.namespaces n where n.namespace_id = :ns) as namespaces,
  (select count(*) from tasker.task_templates t where t.namespace_id = :ns) as templates,
  (select count(*) from tasker.tasks t where t.namespace_id = :ns) as tasks,
  (select count(*) from tasker.steps s where s.task_id = :task) as steps,
  (select count(*) from tasker.step_transitions s where s.step_id >> 16 = :task) as step_transitions,
  (select count(*) from tasker.task_transitions s where s.task_id = :task) as task_transitions,
  (select count(*) from tasker.waiting w where w.namespace_id = :ns) as waiting,
  (select count(*) from tasker.in_flight_deltas d where d.namespace_id = :ns) as in_flight,
  (select count(*) from pgmq.list_queues() q where q.queue_name = 'test_namespaces_queue') as queues;
-- Timers of what is gone fire into nothing, and a result that comes later is of no step.
select pgmq.send('orchestration_step_results', jsonb_build_object('step_id', (:task << 16) + 2, 'attempt', 1, 'status', 'success')) as result \gset
call pg_temp.later('1 day');
call pg_temp.passes();
select replace(r.reason, ((:task << 16) + 2)::text, 'STEP') as reason from tasker.rejected_messages r where r.queue_name = 'orchestration_step_results' and r.msg_id = :result;

-- The name is free again.
select tasker.create_namespace('test_namespaces') > :ns as anew;
-- Messages are not lost with it, unless it is said.
select pgmq.send('test_namespaces_queue', '{}') as msg_id \gset
\set VERBOSITY terse
select tasker.drop_namespace('test_namespaces');
select tasker.drop_namespace('test_namespaces', force => null);
\set VERBOSITY default
select pgmq.delete('test_namespaces_queue', :msg_id);
call pg_temp.register('{"namespace_name": "test_namespaces", "name": "told", "events": {"task": ["cancelled"]}, "steps": [{"name": "a"}]}');
select tasker.cancel_task(tasker.request_task('test_namespaces', 'told'));
select tasker.drop_namespace('test_namespaces');
select count(*) from pgmq.q_test_namespaces_events;
select pgmq.purge_queue('test_namespaces_events');
select tasker.drop_namespace('test_namespaces');
-- What is not ours does not count, and stays.
select tasker.create_namespace('test_beside') > 0 as created;
select pgmq.create('test_beside_events');
select pgmq.send('test_beside_events', '{}') > 0 as sent;
select tasker.drop_namespace('test_beside');
select count(*) from pgmq.q_test_beside_events;
select pgmq.drop_queue('test_beside_events');
select pgmq.send('test_limit_none_queue', '{}') > 0 as sent;
select tasker.drop_namespace('test_limit_none', force => true);
select * from tasker.check();
