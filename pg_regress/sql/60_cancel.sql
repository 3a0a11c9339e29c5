-- A cancelled task goes no further: nothing of it is enqueued, and what comes back of it is late.
\getenv folder PG_ABS_SRCDIR
\set helpers :folder '/helpers.sql'
\set ECHO none
\i :helpers
\set ECHO all

call pg_temp.register($$
  namespace_name: test_cancel
  name: five
  version: 1.0.0
  steps:
    - {name: done}
    - {name: polled}
    - {name: popped}
    - {name: failed, retry: {max_attempts: 3, backoff: none, backoff_base_ms: 1000}}
    - {name: queued}
    - {name: after, dependencies: [done, polled]}
$$);

-- Before its start, and before its time.
select tasker.pause_namespace('test_cancel');
select tasker.request_task('test_cancel', 'five') as task, tasker.request_task('test_cancel', 'five', run_at => tasker.clock() + interval '1 hour') as later \gset
call pg_temp.passes();
select tasker.cancel_task(:task, 'not wanted'), tasker.cancel_task(:later);
select tasker.resume_namespace('test_cancel');
call pg_temp.later('2 hours');
call pg_temp.passes();
select pg_temp.task(:task) as task, pg_temp.task(:later) as later;
select count(*) as steps from tasker.steps where task_id in (:task, :later);
select from_state, to_state, actor = session_user as by_me, metadata from tasker.task_transitions where task_id = :task order by task_transition_id;

-- In full swing: one step complete, one with each kind of worker, one waiting for a retry, one in the queue, one pending.
select tasker.request_task('test_cancel', 'five') as task, tasker.request_task('test_cancel', 'five', reason => 'other') as other \gset
call pg_temp.passes();
call pg_temp.reply(:task, 'done', 'success', '{"result_data": "kept"}');
call pg_temp.reply(:task, 'failed', 'failure');
select count(*) from pgmq.delete('test_cancel_queue', (select msg_id from tasker.steps where step_id = pg_temp.step(:task, 'popped')));
select task_id = :task as ours from tasker.poll_steps('test_cancel', step_names => '{polled}');
call pg_temp.passes();
select pg_temp.steps(:task) as steps;
select steps as in_flight from pg_temp.in_flight('test_cancel');
select tasker.cancel_task(:task, 'enough');
select pg_temp.task(:task) as task, pg_temp.steps(:task) as steps;
select steps as in_flight from pg_temp.in_flight('test_cancel');
select * from pg_temp.queue('test_cancel');
select ts.name, st.attempt, st.from_state, st.to_state, st.metadata
from tasker.step_transitions st
join tasker.steps s using (step_id)
join tasker.template_steps ts using (template_step_id)
where s.task_id = :task and st.to_state = 'cancelled'
order by st.step_id;
select * from tasker.check();

\set VERBOSITY sqlstate
select tasker.complete_step(pg_temp.step(:task, 'polled'), 1);
call pg_temp.reply(:task, 'popped');
select * from pg_temp.pass();
call pg_temp.later('1 day');
call pg_temp.passes();
select pg_temp.task(:task) as task, pg_temp.steps(:task) as steps, pg_temp.steps(:other) as other;
select step_name, results from tasker.task_results(:task) where results is not null;

-- A second time there is nothing to do; nor for a task that is over, however it ended.
select tasker.cancel_task(:task);
select to_state from tasker.task_transitions where task_id = :task order by task_transition_id;
call pg_temp.register($$
  namespace_name: test_cancel
  name: one
  version: 1.0.0
  steps: [{name: it, retry: {max_attempts: 1}}, {name: next, dependencies: [it]}]
$$);
select tasker.request_task('test_cancel', 'one') as failed, tasker.request_task('test_cancel', 'one') as complete \gset
call pg_temp.passes();
call pg_temp.reply(:failed, 'it', 'failure');
call pg_temp.reply(:complete, 'it');
call pg_temp.passes();
call pg_temp.reply(:complete, 'next');
call pg_temp.passes();
select tasker.cancel_task(:failed), tasker.cancel_task(:complete);
select pg_temp.task(:failed) as failed, pg_temp.task(:complete) as complete;

-- An attempt that was reported already settles by its report, whatever it says; its child is cancelled, the task stays so.
select tasker.request_task('test_cancel', 'one') as good, tasker.request_task('test_cancel', 'one') as bad \gset
call pg_temp.passes();
select tasker.complete_step(pg_temp.step(:good, 'it'), 1, '"done"');
select tasker.fail_step(pg_temp.step(:bad, 'it'), 1, '"no"');
select tasker.cancel_task(:good), tasker.cancel_task(:bad);
select pg_temp.steps(:good) as good, pg_temp.steps(:bad) as bad;
select * from tasker.check();
select * from pg_temp.pass();
select pg_temp.task(:good) as good_task, pg_temp.steps(:good) as good, pg_temp.task(:bad) as bad_task, pg_temp.steps(:bad) as bad;

-- Nobody needs to be told that a cancelled task's step failed.
select reason from tasker.dead_letters where task_id in (:good, :bad);

-- An unknown task is an error.
\set VERBOSITY terse
select tasker.cancel_task(99999999999);
select tasker.cancel_task(null);

-- Rolled back, nothing has happened.
select tasker.request_task('test_cancel', 'one') as task \gset
call pg_temp.passes();
begin;
select tasker.cancel_task(:task);
rollback;
select pg_temp.task(:task) as task, pg_temp.steps(:task) as steps;

select * from tasker.check();
