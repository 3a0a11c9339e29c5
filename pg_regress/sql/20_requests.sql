-- What request_task and request_tasks make of their arguments.
\getenv folder PG_ABS_SRCDIR
\set helpers :folder '/helpers.sql'
\set ECHO none
\i :helpers
\set ECHO all

call pg_temp.register($$
  namespace_name: test_requests
  name: order
  version: 1.0.0
  default_context: {currency: EUR, nested: {a: 1, b: 2}, list: [1]}
  steps: [{name: first}, {name: extra, depends_on: first, skippable: true}, {name: last, depends_on: extra}]
$$);
call pg_temp.register('{"namespace_name": "test_requests", "name": "order", "version": "1.1.0", "steps": [{"name": "other"}]}');
call pg_temp.register('{"namespace_name": "test_requests", "name": "refund", "steps": [{"name": "only"}]}');

-- What is left out has its default; the correlation id is a new uuid v7.
select tasker.request_task('test_requests', 'refund') as task \gset
select t.state, t.priority, t.context, t.run_at, t.created_at, t.parent_correlation_id, t.initiator, t.source_system, t.reason, t.tags, t.bypass_steps, t.claim_timeout_seconds, t.identity_key
from tasker.tasks t where t.task_id = :task;
select t.correlation_id::text ~ '^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$' as is_uuid_v7 from tasker.tasks t where t.task_id = :task;
select x.from_state, x.to_state, x.actor = session_user as by_us, x.created_at, x.metadata from tasker.task_transitions x where x.task_id = :task;

-- Everything that is given is kept. The context goes over the default_context, key by key of the first level.
select tasker.request_task(
  namespace => 'test_requests', name => 'order', version => '1.0.0', context => '{"order_id": 7, "nested": {"a": 9}, "list": []}', priority => 4,
  idempotency_key => 'order 7', correlation_id => '01890a5d-ac96-774b-bcce-b302099a8057', parent_correlation_id => '01890a5d-ac96-774b-bcce-b302099a8058',
  initiator => 'web', source_system => 'shop', reason => 'checkout', tags => '{vip, "two words", ä}', bypass_steps => '{extra}', claim_timeout_seconds => 86400) as task \gset
select t.priority, t.context, t.correlation_id, t.parent_correlation_id, t.initiator, t.source_system, t.reason, t.tags, t.bypass_steps, t.claim_timeout_seconds
from tasker.tasks t where t.task_id = :task;
select s.name, s.version, s.priority, s.idempotency_key, s.initiator, s.source_system, s.reason, s.tags from tasker.task_status s where s.task_id = :task;

-- Without a version the default is meant.
select tasker.request_task('test_requests', 'order') as plain \gset
select s.version from tasker.task_status s where s.task_id = :plain;

-- A correlation is inherited: who gives only a parent's gets that one.
select tasker.request_task('test_requests', 'refund', parent_correlation_id => '01890a5d-ac96-774b-bcce-b302099a8057') as child \gset
select t.correlation_id, t.parent_correlation_id from tasker.tasks t where t.task_id = :child;
select count(*) as of_this_correlation, bool_or(f.task_id = :child) as with_child, bool_or(f.task_id = :task) as with_parent
from tasker.find_tasks(correlation_id => '01890a5d-ac96-774b-bcce-b302099a8057') f;
select f.task_id = :task as found, f.name, f.state from tasker.find_tasks(tag => 'two words', namespace => 'test_requests') f;

-- Bypassed steps are skipped, and count as completed; what depends on them goes on.
call pg_temp.passes();
select pg_temp.steps(:task) as steps;
call pg_temp.reply(:task, 'first');
call pg_temp.passes();
call pg_temp.reply(:task, 'last');
call pg_temp.passes();
select pg_temp.task(:task) as task, pg_temp.steps(:task) as steps;

-- A thousand in one call: as many ids as contexts, in their order, all of one correlation when one is given.
select array_agg(t order by n) as tasks
from tasker.request_tasks('test_requests', 'refund', (select array_agg(jsonb_build_object('n', i) order by i) from generate_series(1, 1000) i),
  correlation_id => '01890a5d-ac96-774b-bcce-b302099a8059', priority => 0, tags => '{bulk}') with ordinality r(t, n) \gset
select count(*), count(distinct t.task_id) as tasks, bool_and(t.context = jsonb_build_object('n', r.n)) as in_order, min(t.priority) as priority, count(distinct t.correlation_id) as correlations
from unnest(:'tasks'::bigint[]) with ordinality r(task_id, n)
join tasker.tasks t on t.task_id = r.task_id;
-- Without one, each has its own.
select array_agg(t) as three from tasker.request_tasks('test_requests', 'refund', array_fill('{}'::jsonb, array[3])) t \gset
select count(distinct t.correlation_id) as correlations from tasker.tasks t where t.task_id = any(:'three'::bigint[]);
-- Of nothing comes nothing.
select * from tasker.request_tasks('test_requests', 'refund', '{}');
select * from tasker.request_tasks('test_requests', 'refund', null);
select count(*) as cancelled from unnest(:'tasks'::bigint[]) t where tasker.cancel_task(t);

-- In the caller's transaction: rolled back, nothing is left of it, whatever it was.
begin;
select tasker.request_task('test_requests', 'order', idempotency_key => 'rolled back', run_at => tasker.clock() + '1 hour') as rolled_back \gset
savepoint here;
select tasker.request_task('test_requests', 'refund') as rolled_back_too \gset
rollback to here;
select (select count(*) from tasker.tasks t where t.task_id = :rolled_back) as this_one, (select count(*) from tasker.tasks t where t.task_id = :rolled_back_too) as that_one;
rollback;
select (select count(*) from tasker.tasks t where t.task_id in (:rolled_back, :rolled_back_too)) as tasks,
  (select count(*) from tasker.waiting w where w.task_id in (:rolled_back, :rolled_back_too)) as waiting,
  (select count(*) from tasker.timers t where t.task_id in (:rolled_back, :rolled_back_too)) as timers,
  (select count(*) from tasker.task_transitions t where t.task_id in (:rolled_back, :rolled_back_too)) as transitions;
select tasker.request_task('test_requests', 'order', idempotency_key => 'rolled back') <> :rolled_back as key_is_free;

-- A task is not waited for by the transaction that alone can see it.
begin;
select tasker.request_task('test_requests', 'refund') as task \gset
\set VERBOSITY sqlstate
select * from tasker.wait_for_task(:task, '1 hour');
\set VERBOSITY default
rollback;

-- Unknown namespaces, templates and versions are errors that say what there is.
\set VERBOSITY terse
select tasker.request_task('test_nowhere', 'order');
select tasker.request_task(null, 'order');
\set VERBOSITY default
select tasker.request_task('test_requests', 'nope');
select tasker.request_task('test_requests', null);
select tasker.request_task('test_requests', 'order', version => '9.9.9');
select tasker.create_namespace('test_requests_empty') > 0 as created;
select tasker.request_task('test_requests_empty', 'order');

-- Bad arguments.
select tasker.request_task('test_requests', 'order', null);
select tasker.request_task('test_requests', 'order', '[]');
select tasker.request_task('test_requests', 'order', '"x"');
select tasker.request_task('test_requests', 'order', 'null');
select tasker.request_task('test_requests', 'order', priority => 5);
select tasker.request_task('test_requests', 'order', priority => -1);
select tasker.request_task('test_requests', 'order', priority => null);
select tasker.request_task('test_requests', 'order', idempotency_key => '');
select tasker.request_task('test_requests', 'order', idempotency_key => repeat('k', 513));
select tasker.request_task('test_requests', 'order', tags => '{a, null}');
select tasker.request_task('test_requests', 'order', bypass_steps => '{null}');
select tasker.request_task('test_requests', 'order', claim_timeout_seconds => 0);
select tasker.request_task('test_requests', 'order', claim_timeout_seconds => 86401);
select tasker.request_task('test_requests', 'order', version => '1.0.0', bypass_steps => '{first, extra, nowhere}');
select * from tasker.request_tasks('test_requests', 'order', array['{}', null]::jsonb[]);
select * from tasker.request_tasks('test_requests', 'order', array['{}', '{}']::jsonb[], idempotency_keys => '{one}');

-- NULL is as good as leaving it out where there is nothing to choose from.
select tasker.request_task('test_requests', 'order', tags => null, bypass_steps => null, claim_timeout_seconds => null) > 0 as requested;

select * from tasker.check();
