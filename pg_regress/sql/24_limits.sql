-- How much one call may hand over: at the limit it is taken, beyond it refused in plain words, and nothing of it is kept.
-- (What a template may hold: 11_template_limits.)
\getenv folder PG_ABS_SRCDIR
\set helpers :folder '/helpers.sql'
\set ECHO none
\i :helpers
\set ECHO all

call pg_temp.register('{"namespace_name": "test_sizes", "name": "one", "steps": [{"name": "a"}]}');
set tasker.max_payload_bytes = '2kB';

-- A payload: contexts by function and by queue, reports one by one and in batches.
create function pg_temp.payload(bytes integer) returns jsonb language sql as $$ select jsonb_build_object('x', repeat('y', bytes)) $$;
select tasker.request_task('test_sizes', 'one', pg_temp.payload(1900)) as task \gset
select tasker.request_task('test_sizes', 'one', pg_temp.payload(2100));
select count(*) from tasker.request_tasks('test_sizes', 'one', array['{}', pg_temp.payload(2100)]);
select pgmq.send('orchestration_task_requests', jsonb_build_object('namespace', 'test_sizes', 'name', 'one', 'context', pg_temp.payload(2100))) > 0 as sent;
call pg_temp.passes();
select pg_temp.step(:task, 'a') as step \gset
select count(*) from tasker.poll_steps('test_sizes', 10);
select tasker.complete_step(:step, 1, pg_temp.payload(2100));
-- As it is stored, also where that is elsewhere.
create temp table stored as select jsonb_agg(md5(i::text)) as payload from generate_series(1, 2000) i;
select tasker.complete_step(:step, 1, s.payload) from stored s;
select tasker.fail_step(:step, 1, pg_temp.payload(1000), orchestration_metadata => jsonb_build_object('custom', pg_temp.payload(1100)));
-- (terse: how many bytes depends on the ids)
\set VERBOSITY terse
select outcome from tasker.complete_steps(array[jsonb_build_object('step_id', :step, 'attempt', 1, 'status', 'success', 'result_data', pg_temp.payload(2100))]);
select tasker.complete_step(:step, 1, pg_temp.payload(1900));
-- With plain pgmq nobody can be told: the attempt has failed. A success that is too large would be so again.
call pg_temp.register($$
  namespace_name: test_sizes
  name: plain
  version: 1.0.0
  steps: [{name: done}, {name: failed}, {name: fits}]
$$);
select tasker.request_task('test_sizes', 'plain') as plain \gset
call pg_temp.passes();
call pg_temp.reply(:plain, 'done', 'success', jsonb_build_object('result_data', pg_temp.payload(2100)));
call pg_temp.reply(:plain, 'failed', 'failure', jsonb_build_object('error', jsonb_build_object('message', repeat('y', 2100))));
call pg_temp.reply(:plain, 'fits', 'success', jsonb_build_object('result_data', pg_temp.payload(1800)));
call pg_temp.passes();
select pg_temp.steps(:plain) as plain;
select s.state, s.results is null as without_results, s.last_error ->> 'error_type' as error_type, s.last_error ->> 'retryable' as retryable,
  regexp_replace(s.last_error ->> 'message', '\d{4} bytes', '… bytes') as message
from tasker.steps s
where s.task_id = :plain and s.last_error is not null
order by s.step_id;
-- The larger limit, and once more.
reset tasker.max_payload_bytes;
select tasker.retry_step(pg_temp.step(:plain, 'done'));
call pg_temp.passes();
call pg_temp.reply(:plain, 'done', 'success', jsonb_build_object('result_data', pg_temp.payload(2100)));
call pg_temp.passes();
select s.state, length(s.results ->> 'x') as bytes from tasker.steps s where s.step_id = pg_temp.step(:plain, 'done');
show tasker.max_payload_bytes;

-- How many in one call.
select count(*) from tasker.request_tasks('test_sizes', 'one', array_fill('{}'::jsonb, array[10001]));
select count(*) from tasker.request_tasks('test_sizes', 'one', array_fill('{}'::jsonb, array[10000]), idempotency_keys => array_fill('same'::text, array[10000]));
select count(*) from tasker.complete_steps(array_fill('{"step_id": 1, "attempt": 1, "status": "success"}'::jsonb, array[10001]));
select outcome, count(*) from tasker.complete_steps(array_fill('{"step_id": 1, "attempt": 1, "status": "success"}'::jsonb, array[10000])) group by outcome;
select tasker.release_steps(array_fill(1::bigint, array[10001]), array_fill(1, array[10001]));
select tasker.release_steps(array_fill(1::bigint, array[10000]), array_fill(1, array[10000]));
select count(*) from tasker.poll_steps('test_sizes', 10001);

-- Texts and lists of a request.
select tasker.request_task('test_sizes', 'one', initiator => repeat('ä', 1024), source_system => repeat('ä', 1024), reason => repeat('ä', 1024),
  tags => array_fill(repeat('ä', 256), array[100]), idempotency_key => repeat('ä', 512)) > 0 as taken;
select tasker.request_task('test_sizes', 'one', initiator => repeat('x', 1025));
select tasker.request_task('test_sizes', 'one', source_system => repeat('x', 1025));
select tasker.request_task('test_sizes', 'one', reason => repeat('x', 1025));
select tasker.request_task('test_sizes', 'one', tags => array_fill('t'::text, array[101]));
select tasker.request_task('test_sizes', 'one', tags => array['t', repeat('x', 257)]);
select tasker.request_task('test_sizes', 'one', idempotency_key => repeat('x', 513));
select tasker.request_task('test_sizes', 'one', bypass_steps => array_fill('a'::text, array[10001]));
select count(*) from tasker.poll_steps('test_sizes', worker_id => repeat('w', 257));
select pgmq.send('orchestration_task_requests', jsonb_build_object('namespace', 'test_sizes', 'name', 'one', 'context', '{}'::jsonb, 'tags', to_jsonb(array_fill('t'::text, array[101])))) > 0 as sent;
call pg_temp.passes();
select r.reason from tasker.rejected_messages r where r.queue_name = 'orchestration_task_requests' and r.message ->> 'namespace' = 'test_sizes' order by r.rejected_message_id;
select count(*) as tasks from tasker.find_tasks(namespace => 'test_sizes', max_rows => null);
delete from tasker.rejected_messages r where r.message ->> 'namespace' = 'test_sizes';

-- What people write beside what they do.
select tasker.cancel_task(:plain, repeat('x', 1025));
select tasker.cancel_task(:plain, repeat('ä', 1024));
select tasker.retry_task(:plain, repeat('x', 1025));
select tasker.retry_step(:step, repeat('x', 1025));
select tasker.resolve_step(:step, reason => repeat('x', 1025));
set tasker.max_payload_bytes = '2kB';
select tasker.resolve_step(:step, pg_temp.payload(2100));
reset tasker.max_payload_bytes;
select tasker.resolve_dead_letter(1, repeat('x', 1025));
select tasker.resolve_dead_letter(1, 'fixed', repeat('x', 10001));
select tasker.create_namespace('test_sizes', repeat('x', 4097));
select tasker.create_namespace('test_sizes', repeat('x', 4096)) > 0 as found;
select count(*) from tasker.claim_ready_tasks(repeat('x', 257));
select count(*) from tasker.claim_ready_tasks(repeat('x', 256));
select tasker.drop_namespace('test_sizes', true);
select * from tasker.check();
