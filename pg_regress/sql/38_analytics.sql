-- Numbers of what was and what is: metrics, the slowest tasks and steps, what needs a person. Their cost depends on the
-- time asked about, not on history.
\getenv folder PG_ABS_SRCDIR
\set helpers :folder '/helpers.sql'
\set ECHO none
\i :helpers
do $$ begin perform tasker.resolve_dead_letter(d.dead_letter_id, 'ignored') from tasker.dead_letters d; end $$;
-- Later than the tasks of all other tests.
set tasker.fake_now = '2041-01-01 00:00:00+00';
\set ECHO all

call pg_temp.register($$
  namespace_name: test_analytics
  name: chain
  version: 1.0.0
  steps:
    - {name: first, retry: {max_attempts: 2, backoff: none, backoff_base_ms: 1000, max_backoff_ms: 1000}}
    - {name: second, dependencies: [first], skippable: true}
$$);
call pg_temp.register($$
  namespace_name: test_analytics
  name: single
  version: 2.0.0
  lifecycle: {max_duration_minutes: 5}
  steps: [{name: only, retry: {retryable: false}}]
$$);

-- Where nothing has happened there are no rates, and nothing is wrong.
\x
select * from tasker.get_analytics_metrics(namespace => 'test_analytics');
\x

-- Requested before the time that is asked about: they never count, though one ends later.
select count(*) from tasker.request_tasks('test_analytics', 'chain', array_fill('{}'::jsonb, array[100]));
call pg_temp.passes();
select count(*) from tasker.cancel_tasks(namespace => 'test_analytics', dry_run => false);
select tasker.request_task('test_analytics', 'single') as before \gset
call pg_temp.passes();
call pg_temp.later('2 minutes');
select tasker.clock() as since \gset

-- A task waits 100 s before it starts, and 1 s for a worker that says when it starts: that is no part of the durations.
select tasker.pause_namespace('test_analytics');
select tasker.request_task('test_analytics', 'chain') as plain, tasker.request_task('test_analytics', 'chain') as retried \gset
call pg_temp.later('100 seconds');
select tasks_open, waiting_tasks, oldest_waiting_seconds, health_score from tasker.get_analytics_metrics(:'since', 'test_analytics');
select tasker.resume_namespace('test_analytics');
call pg_temp.reply(:before, 'only');
call pg_temp.passes();
call pg_temp.later('1 second');
select count(*) from tasker.poll_steps('test_analytics', step_names => '{first}');
call pg_temp.later('3 seconds');
select tasker.complete_step(pg_temp.step(:plain, 'first'), 1);
select tasker.fail_step(pg_temp.step(:retried, 'first'), 1, '"no"');
call pg_temp.passes();
call pg_temp.later('5 seconds');
call pg_temp.reply(:plain, 'second');
call pg_temp.passes();
call pg_temp.later('2 seconds');
call pg_temp.reply(:retried, 'first');
call pg_temp.passes();
call pg_temp.later('20 seconds');
call pg_temp.reply(:retried, 'second');
call pg_temp.passes();

-- Failures of every kind, and a cancelled task.
select tasker.request_task('test_analytics', 'single') as failing, tasker.request_task('test_analytics', 'chain') as exhausted,
  tasker.request_task('test_analytics', 'single') as late, tasker.request_task('test_analytics', 'chain') as cancelled,
  tasker.request_task('test_analytics', 'chain', bypass_steps => '{second}') as skipping \gset
call pg_temp.passes();
select tasker.cancel_task(:cancelled);
call pg_temp.reply(:failing, 'only', 'failure');
call pg_temp.reply(:exhausted, 'first', 'failure');
call pg_temp.reply(:skipping, 'first');
call pg_temp.passes();
call pg_temp.later('10 seconds');
call pg_temp.passes();
call pg_temp.reply(:exhausted, 'first', 'failure', '{"error": {"message": "card 4111 refused"}}');
call pg_temp.passes();
call pg_temp.later('5 minutes');
call pg_temp.passes();

-- What is under way: one in flight, one that has waited for longer than 10 minutes.
select tasker.request_task('test_analytics', 'chain') as flying \gset
call pg_temp.passes();
select tasker.set_namespace_limit('test_analytics', 1);
select tasker.request_task('test_analytics', 'chain') as waiting \gset
call pg_temp.passes();
call pg_temp.later('40 minutes');

\x
select * from tasker.get_analytics_metrics(:'since', 'test_analytics');
\x
select tasks_created, tasks_completed, steps_completed from tasker.get_analytics_metrics(:'since');
select tasks_created, tasks_per_minute from tasker.get_analytics_metrics('-infinity', 'test_analytics');
select tasks_created, tasks_per_minute from tasker.get_analytics_metrics('infinity', 'test_analytics');
-- The worst of the three counts; a pause is no illness.
select tasker.pause_namespace('test_analytics');
select health_score from tasker.get_analytics_metrics(:'since', 'test_analytics');
select tasker.resume_namespace('test_analytics');
select task_success_rate, oldest_waiting_seconds, health_score from tasker.get_analytics_metrics(tasker.clock(), 'test_analytics');

-- The slowest, from their start.
select t.task_id = :retried as is_retried, t.namespace, t.name, t.version, t.state, t.steps, t.attempts, t.duration, t.started_at, t.finished_at
from tasker.get_slowest_tasks(since => :'since') t;
select t.name, t.duration from tasker.get_slowest_tasks('test_analytics', 'chain', since => :'since', max_rows => 2) t;
select s.step_id = pg_temp.step(:retried, 'second') as is_second, s.task_id = :retried as is_retried, s.namespace, s.name, s.version, s.step_name,
  s.state, s.attempts, s.duration, s.started_at, s.finished_at
from tasker.get_slowest_steps(since => :'since') s;
select s.step_name, s.attempts, s.duration from tasker.get_slowest_steps('test_analytics', 'chain', 'first', :'since', 3) s;
select count(*) from tasker.get_slowest_steps('test_analytics', since => :'since', max_rows => null);
select count(*) from tasker.get_slowest_steps('test_analytics', since => :'since', max_rows => 0);
select count(*) from tasker.get_slowest_steps('test_analytics', 'single', 'first', :'since');
select count(*) from tasker.get_slowest_tasks('test_analytics', 'nope', :'since');

-- Only the steps of the tasks asked about are read, and a few by the planner, not the 200 before them. (At this size a
-- scan would be cheaper; it is not at others.)
begin;
set local enable_seqscan = off;
select count(*) as steps from tasker.steps s where s.task_id >= :plain \gset
select idx_tup_fetch as before from pg_stat_xact_user_tables where relid = 'tasker.steps'::regclass \gset
select steps_completed from tasker.get_analytics_metrics(:'since');
select idx_tup_fetch - :before between :steps and :steps + 10 as reads_the_window from pg_stat_xact_user_tables where relid = 'tasker.steps'::regclass;
select idx_tup_fetch as before from pg_stat_xact_user_tables where relid = 'tasker.steps'::regclass \gset
select count(*) from tasker._slowest_steps(null, null, null, :'since', 1);
select idx_tup_fetch - :before between :steps and :steps + 10 as reads_the_window from pg_stat_xact_user_tables where relid = 'tasker.steps'::regclass;
commit;

-- The search finds the place though ids are not quite in the order of time, and some are missing: one task, and 300 with
-- higher ids that are 30 s older.
call pg_temp.later('30 minutes');
select tasker.request_task('test_analytics', 'chain') as later \gset
select nextval('tasker.tasks_task_id_seq') < setval('tasker.tasks_task_id_seq', currval('tasker.tasks_task_id_seq') + 1000) as gap;
call pg_temp.later('-30 seconds');
select count(*) from tasker.request_tasks('test_analytics', 'chain', array_fill('{}'::jsonb, array[300]));
select count(*) as tasks,
  bool_and(f.first_id <= t.task_id) as misses_none,
  bool_and(not exists (select from tasker.tasks o where o.task_id >= f.first_id and o.created_at < t.created_at - interval '2 minutes')) as reads_little
from tasker.tasks t
cross join tasker._first_task_since(t.created_at) f(first_id)
where t.task_id >= :plain;
select tasks_created from tasker.get_analytics_metrics(tasker.clock());
select tasks_created from tasker.get_analytics_metrics(tasker.clock() + interval '30 seconds');
select tasker._first_task_since('infinity') = max(t.task_id) + 1 as behind_all, tasker._first_task_since('-infinity') = min(t.task_id) as the_first
from tasker.tasks t;

-- Dead letters by reason, and one by one; neither shows what the worker said.
select * from tasker.dead_letter_summary order by reason;
select d.task_id in (:failing, :exhausted, :late) as is_ours, d.step_id = pg_temp.step(d.task_id, d.step_name) as is_its_step, d.namespace,
  d.name, d.version, d.step_name, d.reason, d.attempts, d.created_at, d.age
from tasker.open_dead_letters d
order by d.dead_letter_id;
select tasker.resolve_dead_letter(d.dead_letter_id, 'ignored') from tasker.open_dead_letters d where d.reason = 'deadline';
select reason, open from tasker.dead_letter_summary order by reason;
select count(*) from tasker.open_dead_letters d where to_jsonb(d)::text like '%4111%';

-- Rejected messages by queue.
select count(*) as sent from pgmq.send_batch('test_analytics_queue', '{"{}", "[]"}'::jsonb[]);
select count(*) from tasker.poll_steps('test_analytics', 100);
call pg_temp.later('1 hour');
select * from tasker.rejected_message_summary where queue_name = 'test_analytics_queue';

-- A claim beyond its time shows whether anything waits under it or not.
select tasker.set_namespace_limit('test_analytics', null);
select task_id = :waiting as is_waiting from tasker.claim_ready_tasks('outside', 1, 'test_analytics');
select tasker.enqueue_ready_steps(:waiting) is not null as enqueued;
select task_id > :later as is_other from tasker.claim_ready_tasks('outside', 1, 'test_analytics');
select count(*) from tasker.stale_claims;
call pg_temp.later('61 seconds');
select c.task_id = :waiting as nothing_waits, c.step_id, c.namespace, c.name, c.claimed_by, c.overdue, c.fault from tasker.stale_claims c order by c.task_id;
call pg_temp.passes();
select count(*) from tasker.stale_claims;

-- The monitor may ask for all of it.
set role tasker_monitor;
select count(*) from tasker.get_analytics_metrics();
select count(*) > 0 as slowest from tasker.get_slowest_steps(since => :'since');
select count(*) > 0 as slowest from tasker.get_slowest_tasks(since => :'since');
select count(*) from tasker.dead_letter_summary;
select count(*) from tasker.open_dead_letters;
select count(*) > 0 as rejected from tasker.rejected_message_summary;
select count(*) from tasker.stale_claims;
reset role;

\set VERBOSITY sqlstate
select tasker.get_analytics_metrics(namespace => 'test_nowhere');
select tasker.get_analytics_metrics(null);
select tasker.get_slowest_steps('test_nowhere');
select tasker.get_slowest_steps(since => null);
select tasker.get_slowest_steps(max_rows => -1);
select tasker.get_slowest_tasks('test_nowhere');
select tasker.get_slowest_tasks(since => null);
select tasker.get_slowest_tasks(max_rows => -1);
\set VERBOSITY default

-- Later tests begin in 2040 again.
select tasker.drop_namespace('test_analytics', force => true);
select * from tasker.check();
