-- Attempts that nobody reports in time are lost and tried again; what is queued, extended or reported is not.
\getenv folder PG_ABS_SRCDIR
\set helpers :folder '/helpers.sql'
\set ECHO none
\i :helpers
\set ECHO all

call pg_temp.register($$
  namespace_name: test_leases
  name: watched
  version: 1.0.0
  steps: [{name: it, timeout_seconds: 60, retry: {max_attempts: 2, backoff: none, backoff_base_ms: 1000, max_backoff_ms: 1000}}]
$$);
call pg_temp.register($$
  namespace_name: test_leases
  name: by_setting
  version: 1.0.0
  steps: [{name: it}]
$$);
\set VERBOSITY sqlstate

-- A worker that took a step with poll_steps and falls silent: its time is the step's, to the microsecond.
select tasker.request_task('test_leases', 'watched') as task \gset
select pg_temp.step(:task, 'it') as step \gset
call pg_temp.passes();
call pg_temp.later('10 seconds');
select attempt from tasker.poll_steps('test_leases');
call pg_temp.later('59.999999 seconds');
call pg_temp.passes();
select pg_temp.steps(:task) as steps, tasker.extend_step(:step, 2) as next_one;
call pg_temp.later('0.000001 seconds');
call pg_temp.passes();
select pg_temp.steps(:task) as steps, last_error from tasker.task_results(:task);
select tasker.complete_step(:step, 1, '"too late"');
select tasker.extend_step(:step, 1);
call pg_temp.later('1 second');
call pg_temp.passes();
select attempt from tasker.poll_steps('test_leases');
-- What the first one says now is late, in any form, and the second goes on.
select tasker.complete_step(:step, 1, '"too late"');
select outcome from tasker.complete_steps(array[jsonb_build_object('step_id', :step, 'attempt', 1, 'status', 'success')]);
call pg_temp.send_result(jsonb_build_object('step_id', :step, 'attempt', 1, 'status', 'success', 'result_data', 'too late'));
select * from pg_temp.pass();
select pg_temp.steps(:task) as steps;
-- Lost as often as it may be tried, it has failed.
call pg_temp.later('1 minute');
select * from pg_temp.pass();
select pg_temp.task(:task) as task, pg_temp.steps(:task) as steps, last_error from tasker.task_results(:task);

-- The lease that poll_steps was asked for, and the setting for steps without a timeout of their own.
select tasker.request_task('test_leases', 'watched') as task, tasker.request_task('test_leases', 'by_setting') as other \gset
set tasker.step_timeout = '30s';
call pg_temp.passes();
select attempt from tasker.poll_steps('test_leases', task_names => '{watched}', lease => '2 hours');
select attempt from tasker.poll_steps('test_leases', task_names => '{by_setting}');
call pg_temp.later('29.999999 seconds');
call pg_temp.passes();
select pg_temp.steps(:task) as watched, pg_temp.steps(:other) as by_setting;
call pg_temp.later('0.000001 seconds');
call pg_temp.passes();
select pg_temp.steps(:task) as watched, pg_temp.steps(:other) as by_setting;
reset tasker.step_timeout;
call pg_temp.later('119 minutes');
call pg_temp.passes();
select pg_temp.steps(:task) as watched;
call pg_temp.later('30 seconds');
call pg_temp.passes();
select pg_temp.steps(:task) as watched;
call pg_temp.quiet();

-- The heartbeat gives more time, never less; without a lease of its own, the step's timeout from now on.
select tasker.request_task('test_leases', 'watched') as task, tasker.request_task('test_leases', 'watched') as other \gset
call pg_temp.passes();
select count(*) from tasker.poll_steps('test_leases', 10);
select tasker.extend_step(pg_temp.step(:other, 'it'), 1, '1 second');
call pg_temp.later('50 seconds');
call pg_temp.passes();
select tasker.extend_step(pg_temp.step(:task, 'it'), 1);
select tasker.extend_step(pg_temp.step(:task, 'it'), 1, '1 second');
call pg_temp.later('9.999999 seconds');
call pg_temp.passes();
select pg_temp.steps(:task) as extended, pg_temp.steps(:other) as not_shortened;
call pg_temp.later('0.000001 seconds');
call pg_temp.passes();
select pg_temp.steps(:task) as extended, pg_temp.steps(:other) as not_extended;
call pg_temp.later('49.999999 seconds');
call pg_temp.passes();
select pg_temp.steps(:task) as extended;
call pg_temp.later('0.000001 seconds');
call pg_temp.passes();
select pg_temp.steps(:task) as over;
-- Nothing is kept of leases that are over.
call pg_temp.quiet();
call pg_temp.later('1 day');
call pg_temp.passes();
select count(*) as leases from tasker.leases l join tasker.step_status s using (step_id) where s.namespace = 'test_leases';

-- A message that waits for a plain worker is not timed, however long it waits, visible or not.
select tasker.request_task('test_leases', 'watched') as task, tasker.request_task('test_leases', 'watched') as other \gset
call pg_temp.passes();
select count(*) from pgmq.read('test_leases_queue', 3600, 1);
create procedure pg_temp.a_day()
language plpgsql
as $$
begin
  for hour in 1 .. 24 loop
    call pg_temp.later('1 hour');
    call pg_temp.passes();
  end loop;
end $$;
call pg_temp.a_day();
select pg_temp.steps(:task) as read, pg_temp.steps(:other) as unread;
select * from pg_temp.queue('test_leases');

-- One that was read more often than the step may be tried has killed its workers: the attempt is lost, its message goes.
select count(*) from pgmq.set_vt('test_leases_queue', (select msg_id from tasker.steps where task_id = :task), 0);
select count(*) from pgmq.read('test_leases_queue', 0, 1);
call pg_temp.later('1 minute');
call pg_temp.passes();
select pg_temp.steps(:task) as read_twice, pg_temp.steps(:other) as unread;
select count(*) from pgmq.read('test_leases_queue', 0, 1);
call pg_temp.later('1 minute');
call pg_temp.passes();
select pg_temp.steps(:task) as read_three_times, pg_temp.steps(:other) as unread;
call pg_temp.later('1 second');
call pg_temp.passes();
select * from pg_temp.queue('test_leases');
call pg_temp.quiet();

-- A message that is gone was taken by somebody, who knows when: his time starts when that is seen.
select tasker.request_task('test_leases', 'watched') as task, tasker.request_task('test_leases', 'watched') as other \gset
call pg_temp.passes();
call pg_temp.take('test_leases');
call pg_temp.later('60 seconds');
call pg_temp.passes();
select pg_temp.steps(:task) as seen_gone;
call pg_temp.later('30 seconds');
select tasker.extend_step(pg_temp.step(:other, 'it'), 1);
call pg_temp.later('29.999999 seconds');
call pg_temp.passes();
select pg_temp.steps(:task) as not_yet;
call pg_temp.later('0.000001 seconds');
call pg_temp.passes();
select pg_temp.steps(:task) as lost, pg_temp.steps(:other) as extended;
call pg_temp.later('30 seconds');
call pg_temp.passes();
select pg_temp.steps(:task) as next_attempt, pg_temp.steps(:other) as lost;
call pg_temp.send_result(jsonb_build_object('step_id', pg_temp.step(:task, 'it'), 'attempt', 1, 'status', 'success'));
select * from pg_temp.pass();
select pg_temp.steps(:task) as steps;
call pg_temp.quiet();

-- A report is never overtaken, even if it cannot be settled before the lease is over: it is in the queue, but not to be
-- read yet. One plain, one through complete_step.
select tasker.request_task('test_leases', 'watched') as task, tasker.request_task('test_leases', 'watched') as other \gset
call pg_temp.passes();
select task_id = :task as first from tasker.poll_steps('test_leases');
call pg_temp.take('test_leases');
call pg_temp.later('60 seconds');
call pg_temp.passes();
select pg_temp.steps(:task) as taken_with_poll, pg_temp.steps(:other) as seen_gone;
call pg_temp.later('1 second');
call pg_temp.passes();
select task_id = :task as first, attempt from tasker.poll_steps('test_leases');
select tasker.complete_step(pg_temp.step(:task, 'it'), 2, '"reported"');
select count(*) from pgmq.send('orchestration_step_results',
  jsonb_build_object('step_id', pg_temp.step(:other, 'it'), 'attempt', 1, 'status', 'success', 'result_data', 'sent'));
select count(*) from pgmq.q_orchestration_step_results q, pgmq.set_vt('orchestration_step_results', q.msg_id, 3600);
call pg_temp.later('10 minutes');
select * from pg_temp.pass();
select pg_temp.steps(:task) as reported, pg_temp.steps(:other) as sent;
call pg_temp.later('10 minutes');
select * from pg_temp.pass();
select pg_temp.steps(:task) as reported, pg_temp.steps(:other) as sent;
select count(*) from pgmq.q_orchestration_step_results q, pgmq.set_vt('orchestration_step_results', q.msg_id, 0);
select * from pg_temp.pass();
select pg_temp.steps(t) as steps, results from unnest(array[:task, :other]) t, tasker.task_results(t);

select steps as in_flight from pg_temp.in_flight('test_leases');
select * from tasker.check();
