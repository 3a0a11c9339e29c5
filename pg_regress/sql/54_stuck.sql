-- A task that makes no progress for longer than its template's lifecycle allows leaves a dead letter; what waits for a
-- time to come is not stuck.
\getenv folder PG_ABS_SRCDIR
\set helpers :folder '/helpers.sql'
\set ECHO none
\i :helpers
\set ECHO all

call pg_temp.register($$
  namespace_name: test_stuck
  name: watched
  lifecycle: {max_steps_in_process_minutes: 10, max_waiting_for_retry_minutes: 5, max_waiting_for_dependencies_minutes: 20}
  steps:
    - {name: a, timeout_seconds: 7200, retry: {max_attempts: 9, backoff: none, backoff_base_ms: 60000, max_backoff_ms: 60000}}
    - {name: b, dependencies: [a]}
$$);
call pg_temp.register($$
  {"namespace_name": "test_stuck", "name": "failing", "steps": [{"name": "a"}, {"name": "b", "dependencies": ["a"]}],
   "lifecycle": {"max_steps_in_process_minutes": 10, "staleness_action": "error"}}
$$);
call pg_temp.register($$
  {"namespace_name": "test_stuck", "name": "unwatched", "steps": [{"name": "a"}],
   "lifecycle": {"max_steps_in_process_minutes": 10, "staleness_action": "none"}}
$$);
create temp view letters as
select t.reason as task, d.created_at, d.snapshot, d.resolution
from tasker.dead_letters d
join tasker.tasks t using (task_id)
join tasker.namespaces n using (namespace_id)
where n.name = 'test_stuck' and d.reason = 'stuck'
order by d.dead_letter_id;

-- A message that nobody takes: stuck when the threshold is over, and not a moment earlier. One letter, however long.
select tasker.request_task('test_stuck', 'watched', reason => 'unread') as task, tasker.request_task('test_stuck', 'unwatched') as other \gset
call pg_temp.passes();
select count(*) from tasker.timers where kind = 'stuck' and task_id in (:task, :other);
call pg_temp.later('5 minutes');
call pg_temp.passes();
call pg_temp.later('4 minutes 59.999999 seconds');
call pg_temp.passes();
select * from letters;
call pg_temp.later('0.000001 seconds');
call pg_temp.passes();
select * from letters;
call pg_temp.later('1 hour');
call pg_temp.passes();
select task, resolution from letters;
select reason, open from tasker.dead_letter_summary where reason = 'stuck';
select pg_temp.task(:task) as task;

-- An attempt that ends closes it. The time counts anew.
call pg_temp.reply(:task, 'a');
call pg_temp.passes();
select task, resolution from letters;
call pg_temp.later('9 minutes 59 seconds');
call pg_temp.passes();
select count(*) from letters where resolution is null;
call pg_temp.later('1 second');
call pg_temp.passes();
select created_at, snapshot ->> 'since' as since, resolution from letters where resolution is null;
-- So does a worker that takes it, as the next look finds; and the end.
select count(*) from tasker.poll_steps('test_stuck', lease => '3 hours', step_names => '{b}');
call pg_temp.later('5 minutes');
call pg_temp.passes();
select count(*) from letters where resolution is null;
select tasker.cancel_task(:task), tasker.cancel_task(:other);

-- A lease is a wait with a due time, and so is a plain worker's vt.
select tasker.request_task('test_stuck', 'watched', reason => 'leased') as leased, tasker.request_task('test_stuck', 'watched', reason => 'held') as held \gset
call pg_temp.passes();
select count(*) from pgmq.read('test_stuck_queue', 3600, 1, jsonb_build_object('task_id', :held));
select count(*) from tasker.poll_steps('test_stuck', lease => '3 hours');
call pg_temp.later('2 hours');
call pg_temp.passes();
select * from letters where resolution is null;
-- Its vt over, the message counts as unread from then on.
update pgmq.q_test_stuck_queue set vt = clock_timestamp() - interval '9 minutes 50 seconds' where message ->> 'task_id' = :'held';
call pg_temp.later('5 minutes');
call pg_temp.passes();
select count(*) from letters where resolution is null;
-- (Whoever speaks plain pgmq can set any, also one that cannot be reckoned with.)
update pgmq.q_test_stuck_queue set vt = '-infinity' where message ->> 'task_id' = :'held';
call pg_temp.later('5 minutes');
call pg_temp.passes();
select task from letters where resolution is null;
select tasker.cancel_task(:leased), tasker.cancel_task(:held);
select task, resolution from letters where task = 'held';

-- A retry to come is none, however far off; one that is due and finds no room is, from then on.
select tasker.request_task('test_stuck', 'watched', reason => 'retried') as task \gset
call pg_temp.passes();
call pg_temp.reply(:task, 'a', 'failure', '{"orchestration_metadata": {"headers": {"retry-after": "36000"}}}');
call pg_temp.passes();
call pg_temp.later('9 hours');
call pg_temp.passes();
select count(*) from letters where resolution is null;
select tasker.set_namespace_limit('test_stuck', 1);
select tasker.request_task('test_stuck', 'unwatched', priority => 4) as other \gset
call pg_temp.passes();
call pg_temp.later('1 hour 4 minutes 59 seconds');
call pg_temp.passes();
select count(*) from letters where resolution is null;
call pg_temp.later('1 second');
call pg_temp.passes();
select task, snapshot - 'steps' as snapshot from letters where resolution is null;
select tasker.cancel_task(:task), tasker.cancel_task(:other);

-- Nothing but ready steps that find no room. A pause does not count, nor does an outside claim.
select tasker.request_task('test_stuck', 'watched', reason => 'crowded') as task \gset
call pg_temp.passes();
select tasker.request_task('test_stuck', 'unwatched', priority => 4) as other \gset
call pg_temp.reply(:task, 'a');
call pg_temp.passes();
select pg_temp.steps(:task) as steps;
select tasker.pause_namespace('test_stuck');
call pg_temp.later('2 hours');
call pg_temp.passes();
select count(*) from letters where resolution is null;
select tasker.resume_namespace('test_stuck');
call pg_temp.later('19 minutes 59 seconds');
call pg_temp.passes();
select count(*) from letters where resolution is null;
call pg_temp.later('1 second');
call pg_temp.passes();
select task, snapshot from letters where resolution is null;
select tasker.cancel_task(:task), tasker.cancel_task(:other);

select tasker.request_task('test_stuck', 'watched', reason => 'claimed', claim_timeout_seconds => 7200) as task \gset
call pg_temp.passes();
call pg_temp.reply(:task, 'a');
select tasker.pause_namespace('test_stuck');
call pg_temp.passes();
select tasker.resume_namespace('test_stuck');
select task_id = :task as claimed from tasker.claim_ready_tasks('outside', 1, 'test_stuck');
call pg_temp.later('1 hour');
call pg_temp.passes();
select count(*) from letters where resolution is null;
select tasker.cancel_task(:task);

-- staleness_action: error stops it, too. Its letter stays open, for a person; a retry closes it and gives it its time anew.
select tasker.request_task('test_stuck', 'failing', reason => 'failing') as task \gset
call pg_temp.passes();
call pg_temp.later('10 minutes');
call pg_temp.passes();
select pg_temp.task(:task) as task, pg_temp.steps(:task) as steps;
select metadata from tasker.task_transitions where task_id = :task order by task_transition_id desc limit 1;
select task, resolution from letters where task = 'failing';
select tasker.retry_task(:task);
call pg_temp.passes();
select pg_temp.task(:task) as task, pg_temp.steps(:task) as steps;
call pg_temp.later('9 minutes 59 seconds');
call pg_temp.passes();
select pg_temp.task(:task) as task;
call pg_temp.later('1 second');
call pg_temp.passes();
select pg_temp.task(:task) as task;
select task, resolution from letters where task = 'failing';

select tasker.request_task('test_stuck', 'watched', reason => 'last') as task \gset
call pg_temp.passes();
select * from tasker.check();
-- check() misses the timer.
begin;
delete from tasker.timers where kind = 'stuck' and task_id = :task;
select subject, expected, found from tasker.check();
rollback;
select tasker.cancel_task(:task);
