-- What cannot be done is set aside with its cause; everything else goes on.
\getenv folder PG_ABS_SRCDIR
\set helpers :folder '/helpers.sql'
\set ECHO none
\i :helpers
\set ECHO all

do $$
declare
  namespace text;
begin
  foreach namespace in array '{test_isolation_a,test_isolation_b}'::text[] loop
    call pg_temp.register(format($yaml$
      namespace_name: %s
      name: chain
      version: 1.0.0
      steps:
        - {name: first, timeout_seconds: 60, retry: {max_attempts: 3, backoff: none, backoff_base_ms: 1000, max_backoff_ms: 1000}}
        - {name: second, dependencies: [first]}
    $yaml$, namespace));
  end loop;
end $$;
create temp view status as
select s.namespace, s.status, s.in_flight, s.waiting_tasks, s.waiting_steps, s.set_aside, s.fault, s.fault_until - tasker.clock() as until
from tasker.namespace_status s
where s.namespace like 'test\_isolation\__'
order by s.namespace;

-- A namespace whose queue somebody has dropped: results of its steps are settled, nothing else of it can go on; the other
-- namespace is not touched by it.
select tasker.request_task('test_isolation_a', 'chain') as taken, tasker.request_task('test_isolation_a', 'chain') as lost \gset
call pg_temp.passes();
select count(*) from tasker.poll_steps('test_isolation_a');
select pgmq.drop_queue('test_isolation_a_queue');
select tasker.request_task('test_isolation_a', 'chain') as a, tasker.request_task('test_isolation_b', 'chain') as b \gset
select tasker.complete_step(pg_temp.step(:taken, 'first'), 1, '"kept"');
select * from pg_temp.pass();
select * from status;
select pg_temp.steps(:taken) as taken, pg_temp.task(:a) as a, pg_temp.steps(:b) as b;
-- It is left alone for a minute.
call pg_temp.reply(:b, 'first');
select * from pg_temp.pass();
call pg_temp.later('59 seconds');
select * from pg_temp.pass();
select status, until from status where namespace = 'test_isolation_a';
call pg_temp.later('1 second');
select * from pg_temp.pass();
select status, until from status where namespace = 'test_isolation_a';
-- Mended, it goes on by itself when it is tried again, and no fault is left. What was lost with the queue is lost for
-- its time.
select tasker.create_namespace('test_isolation_a') > 0 as mended;
select * from pg_temp.pass();
call pg_temp.later('1 minute');
select * from pg_temp.pass();
select * from status;
select pg_temp.steps(:taken) as taken, pg_temp.steps(:a) as a, pg_temp.steps(:lost) as lost;
call pg_temp.later('1 second');
call pg_temp.passes();
select pg_temp.steps(:lost) as lost;
select * from tasker.check();
call pg_temp.quiet();

-- resume_namespace tries at once.
select pgmq.drop_queue('test_isolation_a_queue');
select tasker.request_task('test_isolation_a', 'chain') as a \gset
select * from pg_temp.pass();
select tasker.create_namespace('test_isolation_a') > 0 as mended, tasker.resume_namespace('test_isolation_a');
select * from pg_temp.pass();
select * from status;
call pg_temp.quiet();

-- One task that cannot be enqueued (its next attempt is beyond what an attempt can be): it alone is set aside.
select tasker.pause_namespace('test_isolation_a');
select tasker.request_task('test_isolation_a', 'chain') as good, tasker.request_task('test_isolation_a', 'chain') as bad \gset
select tasker.resume_namespace('test_isolation_a');
call pg_temp.passes();
call pg_temp.reply(:good, 'first');
call pg_temp.reply(:bad, 'first');
update tasker.steps set attempts = 2147483647 where step_id = pg_temp.step(:bad, 'second');
set client_min_messages = error;
select * from pg_temp.pass();
set client_min_messages = warning;
select pg_temp.steps(:good) as good, pg_temp.task(:bad) as bad;
select step_name, claim_status, claim_expires_at - tasker.clock() as until, regexp_replace(fault, '\d{5,} has', 'N has') as fault from tasker.ready_tasks where task_id = :bad;
select * from status;
select * from tasker.check();
select tasker.request_task('test_isolation_a', 'chain') as another \gset
call pg_temp.passes();
select pg_temp.steps(:another) as another;
update tasker.steps set attempts = 0 where step_id = pg_temp.step(:bad, 'second');
call pg_temp.later('59 seconds');
call pg_temp.passes();
select pg_temp.steps(:bad) as bad;
call pg_temp.later('1 second');
call pg_temp.passes();
select pg_temp.steps(:bad) as bad;
call pg_temp.quiet();

-- More steps of a task than one statement can hold go in portions, and the other namespace goes on. Every third message that is
-- sent is too much.
call pg_temp.register($$
  namespace_name: test_isolation_a
  name: wide
  version: 1.0.0
  steps: [{name: a}, {name: b}, {name: c}, {name: d}, {name: e}, {name: f}, {name: g}, {name: h}, {name: i}]
$$);
create sequence public.sent;
grant usage on sequence public.sent to tasker_owner;
create function public.hold_little() returns trigger language plpgsql as $$
begin
  if nextval('public.sent') % 3 = 0 then
    raise exception using errcode = 'program_limit_exceeded', message = 'too much';
  end if;
  return null;
end $$;
create trigger little after insert on pgmq.q_test_isolation_a_queue for each statement execute function public.hold_little();
select tasker.request_task('test_isolation_a', 'wide') as wide, tasker.request_task('test_isolation_b', 'chain') as b \gset
select started, enqueued from tasker.orchestrate(16);
select pg_temp.steps(:wide) as wide, pg_temp.steps(:b) as b;
call pg_temp.passes();
select pg_temp.steps(:wide) as wide;
drop trigger little on pgmq.q_test_isolation_a_queue;
drop function public.hold_little;
drop sequence public.sent;
call pg_temp.quiet();

-- From here on a trigger makes trouble, with the SQLSTATE that it is told.
create function public.make_trouble()
returns trigger
language plpgsql
as $$
begin
  raise exception using errcode = current_setting('test.sqlstate'), message = 'trouble';
end $$;
create procedure pg_temp.trouble(sqlstate text)
language sql
as $$ select set_config('test.sqlstate', sqlstate, false) $$;
create procedure pg_temp.pass_in_trouble(sqlstate text, queue text)
language plpgsql
as $$
declare
  raised   text;
  left_in  bigint;
begin
  call pg_temp.trouble(sqlstate);
  begin
    perform tasker.orchestrate();
  exception when others then
    raised := sqlstate;
  end;
  execute format('select count(*) from pgmq.%I', 'q_' || queue) into left_in;
  raise warning '%: %, left in the queue: %', sqlstate, case when raised is not null then 'the pass failed' else 'the pass went on' end, left_in;
end $$;

-- A result that cannot be settled is rejected, and the good one beside it is settled.
select coalesce(max(rejected_message_id), 0) as before from tasker.rejected_messages \gset
select tasker.request_task('test_isolation_a', 'chain') as good, tasker.request_task('test_isolation_a', 'chain') as bad \gset
call pg_temp.passes();
create trigger trouble before update on tasker.steps for each row
when (new.results = '"bad"') execute function public.make_trouble();
call pg_temp.reply(:bad, 'first', 'success', '{"result_data": "bad"}');
call pg_temp.reply(:good, 'first');
-- The system's own errors are nobody's fault: the pass fails and everything stays.
call pg_temp.pass_in_trouble('25006', 'orchestration_step_results');
call pg_temp.pass_in_trouble('40001', 'orchestration_step_results');
call pg_temp.pass_in_trouble('40P01', 'orchestration_step_results');
call pg_temp.pass_in_trouble('42501', 'orchestration_step_results');
call pg_temp.pass_in_trouble('53100', 'orchestration_step_results');
call pg_temp.pass_in_trouble('53200', 'orchestration_step_results');
call pg_temp.pass_in_trouble('55P03', 'orchestration_step_results');
call pg_temp.pass_in_trouble('57P03', 'orchestration_step_results');
call pg_temp.pass_in_trouble('58030', 'orchestration_step_results');
call pg_temp.pass_in_trouble('XX001', 'orchestration_step_results');
select count(*) as rejected from tasker.rejected_messages where rejected_message_id > :before;
call pg_temp.pass_in_trouble('P0001', 'orchestration_step_results');
select queue_name, message - 'step_id' as message, reason from tasker.rejected_messages where rejected_message_id > :before;
select pg_temp.steps(:good) as good, pg_temp.steps(:bad) as bad;
drop trigger trouble on tasker.steps;
-- The step whose result that was is not forgotten: in time the attempt counts as lost.
call pg_temp.later('1 minute');
call pg_temp.passes();
call pg_temp.later('1 minute');
call pg_temp.passes();
call pg_temp.later('1 second');
call pg_temp.passes();
select pg_temp.steps(:bad) as bad;
call pg_temp.quiet();

-- The same for requests.
select coalesce(max(rejected_message_id), 0) as before from tasker.rejected_messages \gset
create trigger trouble before insert on tasker.tasks for each row
when (new.reason = 'bad') execute function public.make_trouble();
select count(*) from pgmq.send('orchestration_task_requests', '{"namespace": "test_isolation_a", "name": "chain", "context": {}, "reason": "bad"}');
select count(*) from pgmq.send('orchestration_task_requests', '{"namespace": "test_isolation_a", "name": "chain", "context": {}, "reason": "good"}');
call pg_temp.pass_in_trouble('53100', 'orchestration_task_requests');
call pg_temp.pass_in_trouble('23514', 'orchestration_task_requests');
select queue_name, message ->> 'reason' as message, reason from tasker.rejected_messages where rejected_message_id > :before;
select * from pg_temp.queue('test_isolation_a');
drop trigger trouble on tasker.tasks;
call pg_temp.quiet();

-- And for timers: one that cannot fire is tried again a minute later, the others fire.
select tasker.request_task('test_isolation_a', 'chain', reason => 'bad', run_at => tasker.clock() + interval '1 hour') as bad,
  tasker.request_task('test_isolation_a', 'chain', reason => 'good', run_at => tasker.clock() + interval '1 hour') as good \gset
create trigger trouble before insert on tasker.waiting for each row
when (new.task_id % 2 = 0) execute function public.make_trouble();
call pg_temp.trouble('P0001');
call pg_temp.later('1 hour');
set client_min_messages = error;
call pg_temp.passes();
set client_min_messages = warning;
select count(*) filter (where t.state = 'in_progress') as started, count(*) filter (where t.state = 'pending') as pending from tasker.tasks t where t.task_id in (:good, :bad);
drop trigger trouble on tasker.waiting;
call pg_temp.later('1 minute');
call pg_temp.passes();
select pg_temp.steps(:good) as good, pg_temp.steps(:bad) as bad;


-- A step with two retry timers, that of the attempt that was cancelled and that of its reopening, both due in a pass that is
-- repeated: it is ready once.
call pg_temp.register($$
  namespace_name: test_isolation_a
  name: fast
  version: 1.0.0
  on_failure: fail_fast
  steps:
    - {name: again, retry: {max_attempts: 3, backoff: none, backoff_base_ms: 1000, max_backoff_ms: 1000}}
    - {name: final, retry: {max_attempts: 1}}
$$);
select tasker.request_task('test_isolation_a', 'fast') as twice, tasker.request_task('test_isolation_a', 'chain') as bad \gset
call pg_temp.passes();
call pg_temp.reply(:twice, 'again', 'failure');
call pg_temp.passes();
call pg_temp.reply(:twice, 'final', 'failure');
call pg_temp.passes();
select tasker.retry_task(:twice);
call pg_temp.later('2 seconds');
select count(*) as due
from tasker.timers i
where i.kind = 'retry' and pg_temp.step(:twice, 'again') = any(i.step_ids) and i.fire_at <= tasker.clock();
create trigger trouble before update on tasker.steps for each row
when (new.results = '"bad"') execute function public.make_trouble();
call pg_temp.reply(:bad, 'first', 'success', '{"result_data": "bad"}');
call pg_temp.pass_in_trouble('P0001', 'orchestration_step_results');
drop trigger trouble on tasker.steps;
select pg_temp.steps(:twice) as twice;
call pg_temp.quiet();

drop function public.make_trouble;
select * from tasker.check();
