-- When two requests are one task.
\getenv folder PG_ABS_SRCDIR
\set helpers :folder '/helpers.sql'
\set ECHO none
\i :helpers
\set ECHO all

create procedure pg_temp.finish(task bigint)
language sql
as $$ select tasker.cancel_task(task) $$;
call pg_temp.register('{"namespace_name": "test_identity", "name": "unique", "identity_strategy": "always_unique", "steps": [{"name": "a"}]}');
call pg_temp.register('{"namespace_name": "test_identity", "name": "caller", "identity_strategy": "caller_provided", "steps": [{"name": "a"}]}');
call pg_temp.register('{"namespace_name": "test_identity", "name": "strict", "identity_strategy": "strict", "default_context": {"z": 0}, "steps": [{"name": "a"}]}');
call pg_temp.register('{"namespace_name": "test_identity_two", "name": "unique", "steps": [{"name": "a"}]}');

-- always_unique: every request is a task of its own, unless it has a key.
select tasker.request_task('test_identity', 'unique') = tasker.request_task('test_identity', 'unique') as same;
select tasker.request_task('test_identity', 'unique', idempotency_key => 'k') as first \gset
select tasker.request_task('test_identity', 'unique', '{"other": "context"}', idempotency_key => 'k', priority => 4) = :first as same;
select t.context, t.priority from tasker.tasks t where t.task_id = :first;

-- A key belongs to namespace and name: elsewhere it is another one. Versions share it.
select tasker.request_task('test_identity', 'caller', idempotency_key => 'k') as caller \gset
select tasker.request_task('test_identity_two', 'unique', idempotency_key => 'k') as elsewhere \gset
select :first <> :caller as other_name, :first <> :elsewhere as other_namespace;
call pg_temp.register('{"namespace_name": "test_identity", "name": "unique", "version": "2.0.0", "steps": [{"name": "b"}]}');
select tasker.request_task('test_identity', 'unique', idempotency_key => 'k') = :first as same_in_the_new_version;

-- A key counts as long as the task's row exists, however the task ended.
call pg_temp.passes();
call pg_temp.reply(:first, 'a');
call pg_temp.passes();
select pg_temp.task(:first) as task, tasker.request_task('test_identity', 'unique', idempotency_key => 'k') = :first as same;
call pg_temp.finish(:caller);
select pg_temp.task(:caller) as task, tasker.request_task('test_identity', 'caller', idempotency_key => 'k') = :caller as same;

-- Nothing but the key counts, and every letter of it.
select count(distinct t) as tasks
from unnest(array['k ', 'K', 'k/k', '/', 'ключ', repeat('k', 512)]) with ordinality k(key, n),
  tasker.request_task('test_identity', 'unique', idempotency_key => k.key) t;
-- A slash does not let two templates share keys.
call pg_temp.register('{"namespace_name": "test_identity", "name": "unique.k", "steps": [{"name": "a"}]}');
select tasker.request_task('test_identity', 'unique.k', idempotency_key => 'k') <> tasker.request_task('test_identity', 'unique', idempotency_key => '.k/k') as two_tasks;

-- caller_provided: without a key there is no task.
select tasker.request_task('test_identity', 'caller');

-- strict: the same context of an unfinished task is the same task, in whatever order and spelling it comes, with the
-- defaults given or left out.
select tasker.request_task('test_identity', 'strict', '{"a": 1, "b": {"x": [1, 2], "y": null}}') as strict \gset
select tasker.request_task('test_identity', 'strict', '{"b": {"y": null, "x": [1, 2]}, "a": 1}') = :strict as other_order,
  tasker.request_task('test_identity', 'strict', '{"a": 2, "z": 0, "a": 1, "b": {"x": [1,2], "y": null}}') = :strict as other_spelling,
  tasker.request_task('test_identity', 'strict', '{"a": 1, "b": {"x": [2, 1], "y": null}}') <> :strict as other_list,
  tasker.request_task('test_identity', 'strict', '{"a": 1, "b": {"x": [1, 2]}}') <> :strict as null_counts,
  tasker.request_task('test_identity', 'strict', '{"a": "1", "b": {"x": [1, 2], "y": null}}') <> :strict as text_is_no_number,
  tasker.request_task('test_identity', 'strict', '{"a": 1, "b": {"x": [1, 2], "y": null}, "z": 1}') <> :strict as other_default;
-- Numbers count by their value, strings by their letters.
select tasker.request_task('test_identity', 'strict', '{"a": 1.0, "b": {"x": [1, 2.00], "y": null}, "z": 0.0}') = :strict as other_zeros,
  tasker.request_task('test_identity', 'strict', '{"a": 1.01, "b": {"x": [1, 2], "y": null}}') <> :strict as other_number,
  tasker.request_task('test_identity', 'strict', '{"a": [10.10, "1.0 \\\" 2.0"]}') = tasker.request_task('test_identity', 'strict', '{"a": [10.1, "1.0 \\\" 2.0"]}') as same_fraction,
  tasker.request_task('test_identity', 'strict', '{"a": "1.0 \\\" 2.0"}') <> tasker.request_task('test_identity', 'strict', '{"a": "1.0 \\\" 2"}') as other_text;
-- Finished, it is another one.
call pg_temp.finish(:strict);
select tasker.request_task('test_identity', 'strict', '{"a": 1, "b": {"x": [1, 2], "y": null}}') as again \gset
select :again <> :strict as other_task;
-- With a key the key alone counts.
select tasker.request_task('test_identity', 'strict', '{"a": 1, "b": {"x": [1, 2], "y": null}}', idempotency_key => 'key') as keyed \gset
select :keyed <> :again as other_task, tasker.request_task('test_identity', 'strict', '{"completely": "different"}', idempotency_key => 'key') = :keyed as same_key;

-- The same identity twice in one call is one task: the ids still stand one for each context.
select array_agg(t order by n) as ids from tasker.request_tasks('test_identity', 'unique', array['{"n": 1}', '{"n": 2}', '{"n": 3}', '{"n": 4}', '{"n": 5}']::jsonb[],
  idempotency_keys => array['x', null, 'x', 'k', null]) with ordinality r(t, n) \gset
select (:'ids'::bigint[])[1] = (:'ids'::bigint[])[3] as twice, (:'ids'::bigint[])[4] = :first as known, (:'ids'::bigint[])[2] <> (:'ids'::bigint[])[5] as keyless;
select t.context from tasker.tasks t where t.task_id = any(:'ids'::bigint[]) and t.task_id <> :first order by t.task_id;
select array_agg(t order by n) as ids from tasker.request_tasks('test_identity', 'strict', array['{"m": 1, "n": 1}', '{"n": 1, "m": 1}', '{"m": 2}']::jsonb[]) with ordinality r(t, n) \gset
select (:'ids'::bigint[])[1] = (:'ids'::bigint[])[2] as twice, (:'ids'::bigint[])[1] <> (:'ids'::bigint[])[3] as other;
-- Keys belong to contexts by their place, wherever the arrays' subscripts begin.
select t = :first as known from tasker.request_tasks('test_identity', 'unique', '{"{}"}'::jsonb[], idempotency_keys => '[0:0]={k}') t;
-- In a long list, too: every identity is one task, in the order of the contexts.
select array_agg(t order by n) as ids from tasker.request_tasks('test_identity', 'unique', array(select jsonb_build_object('n', i) from generate_series(1, 600) i order by i),
  idempotency_keys => array(select case when i % 3 > 0 then 'long ' || i % 200 end from generate_series(1, 600) i order by i)) with ordinality r(t, n) \gset
select count(distinct i.task_id) as tasks, count(distinct i.task_id) filter (where i.n % 3 = 0) as keyless,
  bool_and(t.context = jsonb_build_object('n', case when i.n % 3 = 0 then i.n else f.first end)) as of_the_first
from unnest(:'ids'::bigint[]) with ordinality i(task_id, n)
join tasker.tasks t on t.task_id = i.task_id
cross join lateral (select min(j) as first from generate_series(1, 600) j where j % 3 > 0 and j % 200 = i.n % 200) f;

-- By the request queue it is the same, also beside a function call.
select tasker.request_task('test_identity', 'caller', idempotency_key => 'mixed') as mixed \gset
select count(*) from pgmq.send_batch('orchestration_task_requests', array[
  '{"namespace": "test_identity", "name": "caller", "context": {}, "idempotency_key": "mixed"}',
  '{"namespace": "test_identity", "name": "caller", "context": {}, "idempotency_key": "queued", "reason": "queued"}',
  '{"namespace": "test_identity", "name": "caller", "context": {"n": 2}, "idempotency_key": "queued", "reason": "queued"}',
  '{"namespace": "test_identity", "name": "strict", "context": {"q": 1, "r": 2}, "reason": "queued"}',
  '{"namespace": "test_identity", "name": "strict", "context": {"r": 2, "q": 1}, "reason": "queued"}']::jsonb[]);
select accepted, rejected from pg_temp.pass();
select s.name, s.idempotency_key, t.context from tasker.task_status s join tasker.tasks t using (task_id)
where s.namespace = 'test_identity' and (s.idempotency_key in ('mixed', 'queued') or t.reason = 'queued') order by t.task_id;

-- A key is free again when its task has gone with its namespace, or was never committed.
begin;
select tasker.request_task('test_identity', 'unique', idempotency_key => 'rolled back') as gone \gset
rollback;
select tasker.request_task('test_identity', 'unique', idempotency_key => 'rolled back') <> :gone as free_again;

select * from tasker.check();
