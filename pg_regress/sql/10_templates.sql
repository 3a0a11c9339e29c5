-- Templates: what can be registered, what becomes of it, versions and environments.
\getenv folder PG_ABS_SRCDIR
\set helpers :folder '/helpers.sql'
\set ECHO none
\i :helpers
\set ECHO all

-- The same template in YAML, in JSON and in the older layout has one normal form, so it is one template. The tags, the
-- comments, the order of fields and the spelling of names leave no trace.
select tasker.register_template($$
# From YAML.
namespace_name: test_templates
name: same
version: 1.2.3
description: "Three ways to say it."
metadata: {team: a}
input_schema: {type: object, required: [order_id]}
default_context: {currency: EUR}
system_dependency: kept without effect
lifecycle: {max_duration_minutes: 30}
steps:
  - name: first
    description: the first
    handler: {callable: mod.First, method: run, initialization: {deep: [1, 2.5, null, "x"]}}
    retry: {retryable: true, max_attempts: 5, backoff: linear, initial_delay: 0.5, max_delay: 10}
    timeout_seconds: 30
  - name: second
    depends_on_step: first
    handler_class: mod.Second
    handler_config: {url: "https://example.com"}
    skippable: true
  - name: third
    depends_on_steps: [second, first]
    default_retryable: false
    default_retry_limit: 1
$$) as yaml \gset
select tasker.register_template($$
  {"steps": [
     {"name": "first", "description": "the first", "handler": {"callable": "mod.First", "method": "run", "initialization": {"deep": [1, 2.5, null, "x"]}},
      "retry": {"retryable": true, "max_attempts": 5, "backoff": "linear", "backoff_base_ms": 500, "max_backoff_ms": 10000}, "timeout_seconds": 30, "type": "standard"},
     {"name": "second", "dependencies": ["first"], "handler": {"callable": "mod.Second", "initialization": {"url": "https://example.com"}}, "skippable": true},
     {"name": "third", "depends_on": ["first", "second"], "retry": {"retryable": false, "max_attempts": 1}}],
   "version": "1.2.3", "name": "same", "namespace_name": "test_templates", "description": "Three ways to say it.", "metadata": {"team": "a"},
   "input_schema": {"required": ["order_id"], "type": "object"}, "default_context": {"currency": "EUR"}, "lifecycle": {"max_duration_minutes": 30},
   "domain_events": [], "environments": null}
$$) as json \gset
select tasker.register_template($$
namespace_name: test_templates
name: same
version: 1.2.3
task_handler_class: Nobody
default_dependent_system: nothing
description: Three ways to say it.
metadata: {team: a}
schema: {type: object, required: [order_id]}
default_context: {currency: EUR}
lifecycle: {max_duration_minutes: 30}
named_steps: [first, second, third]
step_templates:
  - name: first
    description: the first
    handler: {callable: mod.First, method: run}
    handler_config: {deep: [1, 2.5, null, "x"]}
    retry: {backoff: linear, initial_delay: 0.5, max_delay: 10}
    default_retry_limit: 5
    timeout_seconds: 30
  - {name: second, dependent_system: nothing, depends_on_step: first, handler_class: mod.Second, handler_config: {url: "https://example.com"}, skippable: true}
  - {name: third, depends_on_steps: [first, second], default_retryable: false, default_retry_limit: 1}
$$) as older \gset
select :yaml = :json as json_is_the_same, :yaml = :older as older_is_the_same;

-- The normal form has every field, and registering it again, as text and as jsonb, changes nothing.
select jsonb_pretty(tasker.get_template('test_templates', 'same'));
select tasker.register_template(tasker.get_template('test_templates', 'same')) = :yaml as jsonb_is_the_same,
  tasker.register_template(tasker.get_template('test_templates', 'same')::text) = :yaml as text_is_the_same;

-- What is left out has its default.
select tasker.register_template('{"namespace_name": "test_templates", "name": "least", "steps": [{"name": "only"}]}') as least \gset
select tasker.get_template('test_templates', 'least') - 'steps' as template;
select tasker.get_template('test_templates', 'least') #> '{steps,0}' as step;

-- The compiled steps: in template order, with their levels and their parents.
select ts.step_index, ts.name, ts.level, ts.parent_count, ts.retryable, ts.max_attempts, ts.backoff, ts.backoff_base_ms, ts.max_backoff_ms, ts.timeout_seconds, ts.skippable,
  (select array_agg(d.parent_index order by d.parent_index) from tasker.template_dependencies d where d.template_id = ts.template_id and d.child_index = ts.step_index) as parents
from tasker.template_steps ts
where ts.template_id = :yaml
order by ts.step_index;

-- Names may need each other before they are described: only a cycle is a fault.
select tasker.register_template('{"namespace_name": "test_templates", "name": "forward", "steps": [{"name": "last", "depends_on": "first"}, {"name": "first"}]}') as forward \gset
select ts.step_index, ts.name, ts.level, ts.parent_count from tasker.template_steps ts where ts.template_id = :forward order by ts.step_index;

-- max_attempts counts all tries: 0 means one, as 1 does.
select tasker.register_template('{"namespace_name": "test_templates", "name": "tries", "steps": [{"name": "zero", "retry": {"max_attempts": 0}}, {"name": "one", "retry": {"max_attempts": 1}}]}') as tries \gset
select ts.name, ts.max_attempts from tasker.template_steps ts where ts.template_id = :tries order by ts.step_index;

-- Other content under a version that exists is an error, and changes nothing.
select tasker.register_template('{"namespace_name": "test_templates", "name": "least", "steps": [{"name": "other"}]}');
select tasker.register_template('{"namespace_name": "test_templates", "name": "least", "description": "words are content too", "steps": [{"name": "only"}]}');
select tasker.get_template('test_templates', 'least') #> '{steps,0,name}' as step;

-- Versions: the highest by semantic versioning is the default, not the last one registered nor the last by letters.
create temp table versions as
select v.version, tasker.register_template(jsonb_build_object('namespace_name', 'test_templates', 'name', 'versions', 'version', v.version,
  'steps', '[{"name": "a"}]'::jsonb)) as id
from unnest(array['1.10.0', '1.9.0', '2.0.0-rc.11', '2.0.0-rc.2', '2.0.0-alpha', '1.2.0+build.7', '0.0.1']) with ordinality v(version, n);
select l.version, l.is_default, l.step_count from tasker.list_templates('test_templates') l where l.name = 'versions';
select tasker.get_template('test_templates', 'versions') ->> 'version' as default;
select tasker.register_template('{"namespace_name": "test_templates", "name": "versions", "version": "2.0.0", "steps": [{"name": "a"}]}') > 0 as registered;
select tasker.get_template('test_templates', 'versions') ->> 'version' as default;

-- A retired version is no default; it stays readable by its version, and retiring it twice does nothing.
select tasker.retire_template('test_templates', 'versions', '2.0.0') as retired;
select tasker.retire_template('test_templates', 'versions', '2.0.0') as retired;
select tasker.get_template('test_templates', 'versions') ->> 'version' as default;
select tasker.get_template('test_templates', 'versions', '2.0.0') ->> 'version' as named;
select tasker.request_task('test_templates', 'versions') as task \gset
select s.version as requested from tasker.task_status s where s.task_id = :task;
select l.version, l.is_default, l.retired_at from tasker.list_templates('test_templates') l where l.name = 'versions' limit 2;
select tasker.request_task('test_templates', 'versions', version => '2.0.0');
-- Its content registered again is known, and stays retired.
select tasker.register_template('{"namespace_name": "test_templates", "name": "versions", "version": "2.0.0", "steps": [{"name": "a"}]}') > 0 as registered;
select tasker.get_template('test_templates', 'versions') ->> 'version' as default;
-- With all versions retired there is no default.
select tasker.retire_template('test_templates', 'least', '1.0.0') as retired;
select tasker.get_template('test_templates', 'least');
select tasker.request_task('test_templates', 'least');
-- A task that exists goes on with its version.
select tasker.request_task('test_templates', 'tries') as task \gset
select tasker.retire_template('test_templates', 'tries', '1.0.0') as retired;
call pg_temp.passes();
call pg_temp.reply(:task, 'zero');
call pg_temp.reply(:task, 'one');
call pg_temp.passes();
select pg_temp.task(:task) as task;

-- Unknown ones are errors that say what there is.
\set VERBOSITY terse
select tasker.get_template('test_nowhere', 'same');
\set VERBOSITY default
select tasker.get_template('test_templates', 'smae');
select tasker.get_template('test_templates', 'same', '9.9.9');
select tasker.get_template(null, 'same');
select tasker.retire_template('test_templates', 'same', '9.9.9');
select tasker.retire_template('test_templates', 'same', null);
select tasker.register_template(null::text);
select tasker.register_template(null::jsonb);

-- Versions that differ in their build alone: whoever asks means the one that was registered last.
select bool_and(tasker.register_template(jsonb_build_object('namespace_name', 'test_templates', 'name', 'builds', 'version', v,
    'description', v, 'steps', '[{"name": "it"}]'::jsonb)) > 0) as registered
from unnest(array['1.0.0+b', '1.0.0+a', '1.0.0']) v;
select l.version, l.is_default from tasker.list_templates('test_templates') l where l.name = 'builds';
select tasker.request_task('test_templates', 'builds') as build \gset
select tasker.get_template('test_templates', 'builds') ->> 'version' as shown, tt.version as requested
from tasker.tasks t
join tasker.task_templates tt on tt.template_id = t.template_id
where t.task_id = :build;

-- list_templates of one namespace, and of all.
select l.name, l.version, l.step_count, l.is_default, l.description from tasker.list_templates('test_templates') l where l.name not in ('versions', 'builds');
select count(*) from tasker.list_templates('test_nowhere');
select count(*) > 1 and bool_or(l.namespace = 'test_templates') as all_of_them from tasker.list_templates() l;

-- Environments override fields and, by name, steps: mappings are united, all else is replaced. Each result is another
-- content, so that it needs a version of its own; an environment that the template does not know changes nothing.
\set definition '{"namespace_name": "test_templates", "name": "env", "version": "1.0.0", "metadata": {"a": 1, "b": {"c": 1}}, "default_context": {"url": "dev"}, "steps": [{"name": "x", "retry": {"max_attempts": 2}, "handler": {"initialization": {"u": 1, "v": 1}}}, {"name": "y", "depends_on": "x"}, {"name": "z", "depends_on": "y"}], "environments": {"production": {"version": "1.0.0-production", "metadata": {"b": {"d": 2}}, "default_context": {"url": "live"}, "steps": [{"name": "z", "depends_on": []}, {"name": "x", "timeout_seconds": 7, "retry": {"backoff": "none"}, "handler": {"initialization": {"v": 2}}}]}, "test": {}}}'
select tasker.register_template(:'definition') as plain,
  tasker.register_template(:'definition', 'production') as production,
  tasker.register_template(:'definition', environment => 'test') as test,
  tasker.register_template(:'definition'::jsonb, 'moon') as moon \gset
select :plain = :test as test_is_plain, :plain = :moon as moon_is_plain, :plain <> :production as production_is_not;
select v.version, d.definition -> 'metadata' as metadata, d.definition -> 'default_context' as default_context, d.definition #> '{steps,0,retry,max_attempts}' as x_attempts,
  d.definition #>> '{steps,0,retry,backoff}' as x_backoff, d.definition #> '{steps,0,timeout_seconds}' as x_timeout, d.definition #> '{steps,0,handler,initialization}' as x_initialization,
  d.definition #> '{steps,2,dependencies}' as z_dependencies, d.definition ? 'environments' as has_environments
from (values ('1.0.0'), ('1.0.0-production')) v(version), tasker.get_template('test_templates', 'env', v.version) d(definition);

-- A registration that is rolled back leaves neither template nor namespace nor queue.
begin;
select tasker.register_template('{"namespace_name": "test_rolled_back", "name": "a", "steps": [{"name": "a"}]}') > 0 as registered;
rollback;
select count(*) as namespaces from tasker.namespaces n where n.name = 'test_rolled_back';
select count(*) as queues from pgmq.list_queues() q where q.queue_name = 'test_rolled_back_queue';

select * from tasker.check();
