-- What the views show.
\getenv folder PG_ABS_SRCDIR
\set helpers :folder '/helpers.sql'
\set looking :folder '/looking.sql'
\set ECHO none
\i :helpers
\i :looking
\set ECHO all

-- A little of everything: one task of each kind of standing, in a namespace with a limit.
call pg_temp.register($$
  namespace_name: test_views
  name: chain
  version: 1.0.0
  steps:
    - {name: a, retry: {max_attempts: 2, backoff: none, backoff_base_ms: 60000, max_backoff_ms: 60000}}
    - {name: b, dependencies: [a], skippable: true}
    - {name: c, dependencies: [b]}
$$);
select tasker.request_task('test_views', 'chain', reason => 'complete', bypass_steps => '{b}', idempotency_key => 'k', initiator => 'web', source_system => 'shop', tags => '{x}') as complete,
  tasker.request_task('test_views', 'chain', reason => 'failed') as failed, tasker.request_task('test_views', 'chain', reason => 'cancelled') as cancelled,
  tasker.request_task('test_views', 'chain', reason => 'retrying') as retrying, tasker.request_task('test_views', 'chain', reason => 'at a worker') as at_a_worker \gset
call pg_temp.passes();
call pg_temp.reply(:complete, 'a');
call pg_temp.reply(:failed, 'a', 'failure', '{"error": {"message": "no", "error_type": "Refused", "retryable": false}}');
call pg_temp.reply(:retrying, 'a', 'failure', '{"error": {"error_type": "Timeout"}}');
select tasker.cancel_task(:cancelled);
call pg_temp.later('10 seconds');
call pg_temp.passes();
call pg_temp.reply(:complete, 'c');
select step_status.message ->> 'step_name' as step from tasker.poll_steps('test_views', worker_id => 'w1') step_status;
call pg_temp.later('5 seconds');
call pg_temp.passes();
select tasker.set_namespace_limit('test_views', 1);
select tasker.request_task('test_views', 'chain', reason => 'waiting', priority => 0) as waiting, tasker.request_task('test_views', 'chain', reason => 'urgent', priority => 4) as urgent,
  tasker.request_task('test_views', 'chain', reason => 'delayed', run_at => tasker.clock() + '1 hour') as delayed \gset
call pg_temp.later('2 minutes');
call pg_temp.passes();

-- Tasks.
select t.reason, t.state, t.priority, t.total_steps as total, t.pending_steps as pending, t.in_flight_steps as in_flight, t.waiting_for_retry_steps as retry,
  t.completed_steps as completed, t.failed_steps as failed, t.cancelled_steps as cancelled, t.age, t.duration
from tasker.task_status t
where t.namespace = 'test_views'
order by t.task_id;
\x
select t.name, t.version, t.stopping, t.idempotency_key, t.initiator, t.source_system, t.tags, t.run_at, t.created_at, t.started_at, t.finished_at
from tasker.task_status t
where t.task_id = :complete;
\x

-- Steps. A task that has not started has none.
select t.reason, s.step_name, s.step_index as index, s.level, s.type, s.state, s.remaining_parents as parents, s.attempts || '/' || s.max_attempts as attempts,
  s.worker_id, s.error_type, s.next_retry_at between s.last_failure_at + '54 s' and s.last_failure_at + '60 s' as retry_in_time, s.duration
from tasker.step_status s
join tasker.tasks t using (task_id)
where s.namespace = 'test_views'
order by s.step_id;

-- The queue: what nobody has taken of it, what is in flight.
select q.queue_name, q.namespace, q.is_there, q.depth, q.visible, q.oldest_message_age is not null as has_an_age, q.in_flight, q.max_in_flight, q.paused
from tasker.queue_status q
where q.queue_name in ('test_views_queue', 'orchestration_task_requests', 'orchestration_step_results')
order by q.queue_name;
-- One that was dropped by hand is seen to be gone, and breaks no view.
begin;
select pgmq.drop_queue('test_views_queue');
select q.is_there, q.depth, q.in_flight from tasker.queue_status q where q.namespace = 'test_views';
rollback;

-- The namespace.
select n.status, n.in_flight, n.max_in_flight, n.room, n.waiting_tasks, n.waiting_steps, n.claimed, n.set_aside, n.oldest_waiting_age, n.templates, n.fault
from tasker.namespace_status n
where n.namespace = 'test_views';

-- What waits: computed priority rises from the class to 6 in 3 minutes for class 0, in 10 for class 4.
select t.reason, r.step_name, r.readiness, r.priority, round(r.computed_priority::numeric, 4) as computed_priority, r.since, r.age, r.claim_status, r.claimed_by, r.fault, r.namespace_paused
from tasker.ready_tasks r
join tasker.tasks t using (task_id)
where r.namespace = 'test_views'
order by r.computed_priority desc, t.task_id;
select p.priority, p.class, p.waiting_tasks, p.waiting_steps, round(p.lowest_computed_priority::numeric, 4) as lowest, round(p.average_computed_priority::numeric, 4) as average,
  round(p.highest_computed_priority::numeric, 4) as highest, p.oldest_age
from tasker.priority_distribution p
where p.namespace = 'test_views'
order by p.priority;
select t.reason, e.priority, round(e.computed_priority::numeric, 4) as computed_priority, round(e.escalation::numeric, 4) as escalation, e.age, e.claim_status
from tasker.escalated_tasks e
join tasker.tasks t using (task_id)
where e.namespace = 'test_views'
order by t.task_id;
call pg_temp.later('1 day');
select r.priority, r.computed_priority from tasker.ready_tasks r where r.namespace = 'test_views' order by r.priority;
call pg_temp.later('-1 day');

-- Nothing is claimed by anybody outside.
select count(*) as stale_claims from tasker.stale_claims c where c.namespace = 'test_views';

-- The orchestrator: switched off for these tests, and the view says what to do.
select o.database = current_database() as this_one, o.preloaded, o.enabled, o.identity, o.situation, o.advice from tasker.orchestrator_status o;

-- The whole in one row. Other namespaces count too.
select h.namespaces >= 1 as namespaces, h.paused_namespaces, h.faulty_namespaces, h.templates >= 1 as templates, h.waiting_tasks, h.waiting_steps, h.set_aside, h.claimed, h.stale_claims,
  h.oldest_waiting_since, h.in_flight_steps, h.timers > 0 as timers, h.timers_due
from tasker.get_system_health_counts() h;

-- Who monitors reads all views, and no table.
set role tasker_monitor;
select count(*) > 0 as reads_it from tasker.task_status;
select count(*) > 0 as reads_it from tasker.step_status;
select count(*) > 0 as reads_it from tasker.queue_status;
select count(*) > 0 as reads_it from tasker.namespace_status;
select count(*) > 0 as reads_it from tasker.ready_tasks;
select count(*) > 0 as reads_it from tasker.priority_distribution;
select count(*) > 0 as reads_it from tasker.escalated_tasks;
select count(*) >= 0 as reads_it from tasker.stale_claims;
select count(*) > 0 as reads_it from tasker.orchestrator_status;
select count(*) > 0 as reads_it from tasker.get_system_health_counts();
select context from tasker.tasks;
select results from tasker.steps;
reset role;

-- No view writes: all of them work in a read-only transaction.
begin read only;
select (select count(*) from tasker.task_status) + (select count(*) from tasker.step_status) + (select count(*) from tasker.queue_status) + (select count(*) from tasker.namespace_status)
  + (select count(*) from tasker.ready_tasks) + (select count(*) from tasker.priority_distribution) + (select count(*) from tasker.escalated_tasks) + (select count(*) from tasker.stale_claims)
  + (select count(*) from tasker.orchestrator_status) + (select count(*) from tasker.get_system_health_counts()) > 0 as all_of_them;
commit;
select * from tasker.check();
