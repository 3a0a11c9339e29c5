-- What ended in error, or ran out of time, is kept for a person; rejected messages can be sent again.
\getenv folder PG_ABS_SRCDIR
\set helpers :folder '/helpers.sql'
\set ECHO none
\i :helpers
\set ECHO all

call pg_temp.register($yaml$
namespace_name: test_letters
name: two
lifecycle: {max_duration_minutes: 5}
steps:
  - {name: a, retry: {max_attempts: 2, backoff: none, backoff_base_ms: 1000, max_backoff_ms: 1000}}
  - {name: b}
$yaml$);
create temp view letters as
select d.reason, d.snapshot -> 'step_name' as step, d.snapshot -> 'attempts' as attempts, d.snapshot #> '{last_error,message}' as message,
  d.resolution, d.notes, d.created_at
from tasker.dead_letters d
join tasker.tasks t using (task_id)
join tasker.namespaces n using (namespace_id)
where n.name = 'test_letters'
order by d.dead_letter_id;

-- A retry to come is no dead letter; the last failure is, and so is one for good, and the deadline.
select tasker.request_task('test_letters', 'two') as task \gset
call pg_temp.passes();
call pg_temp.reply(:task, 'a', 'failure', '{"error": "first"}');
call pg_temp.passes();
select * from letters;
call pg_temp.later('2 seconds');
call pg_temp.passes();
call pg_temp.reply(:task, 'a', 'failure', '{"error": "second"}');
call pg_temp.reply(:task, 'b', 'failure', '{"error": {"message": "never", "retryable": false}}');
call pg_temp.passes();
select * from letters;
select tasker.request_task('test_letters', 'two') as late \gset
call pg_temp.passes();
call pg_temp.later('6 minutes');
call pg_temp.passes();
select pg_temp.task(:late) as late, pg_temp.steps(:late) as steps;
select * from letters;

-- A retry resolves the letter; for all else a person says what was done.
select tasker.retry_step(pg_temp.step(:task, 'a'), 'mended');
select tasker.resolve_dead_letter(d.dead_letter_id, 'ignored', 'a test order')
from tasker.dead_letters d where d.task_id = :late;
select tasker.resolve_dead_letter(d.dead_letter_id, 'ignored') from tasker.dead_letters d where d.task_id = :late;
select * from letters;
\set VERBOSITY sqlstate
select tasker.resolve_dead_letter(99999999, 'ignored');
select tasker.resolve_dead_letter(99999999, '');
\set VERBOSITY default

-- A rejected message is sent again after what was in its way is mended, or discarded.
select count(*) from pgmq.send('orchestration_task_requests', '{"namespace": "test_letters", "name": "three", "context": {}}');
call pg_temp.passes();
select r.rejected_message_id as rejected from tasker.rejected_messages r where r.message ->> 'name' = 'three' \gset
call pg_temp.register('{"namespace_name": "test_letters", "name": "three", "steps": [{"name": "a"}]}');
select tasker.requeue_rejected_message(:rejected) > 0 as sent;
select accepted, started, enqueued from pg_temp.pass();
select count(*) from pgmq.send('orchestration_step_results', '"junk"');
call pg_temp.passes();
select tasker.discard_rejected_message(r.rejected_message_id) from tasker.rejected_messages r where r.message = '"junk"';
select tasker.discard_rejected_message(:rejected);
\set VERBOSITY sqlstate
select tasker.requeue_rejected_message(:rejected);
\set VERBOSITY default
select * from tasker.check();
