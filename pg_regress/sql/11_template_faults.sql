-- Every fault of a template is reported, all at once, each with its place.
\getenv folder PG_ABS_SRCDIR
\set helpers :folder '/helpers.sql'
\set ECHO none
\i :helpers
\set ECHO all

-- One row for each fault of each definition. A definition is the plain one below with what is given put over it; a key
-- with the value "gone" is taken out.
create temp table bad (n integer generated always as identity, definition text);
create function pg_temp.with(change jsonb, base jsonb default '{"namespace_name": "test_faults", "name": "t", "steps": [{"name": "a"}, {"name": "b"}, {"name": "c"}]}')
returns text
language sql
as $$ select (select jsonb_object_agg(e.key, e.value) from jsonb_each(base || change) e where e.value <> '"gone"')::text $$;
create function pg_temp.with_steps(variadic steps jsonb[])
returns text
language sql
as $$ select pg_temp.with(jsonb_build_object('steps', steps)) $$;
\set faults 'select b.n, f.path, f.message from bad b, tasker.validate_template(b.definition) with ordinality f(path, message, m) order by b.n, f.m; truncate bad restart identity;'

-- The plain one has none.
select * from tasker.validate_template(pg_temp.with('{}'));
select * from tasker.validate_template(pg_temp.with('{}')::jsonb);

-- Text that cannot be read; each says where.
insert into bad (definition) values
  (''), ('# nothing'), ('just words'), ('- a'), ('7'), ('{'), (e'{"name": 1,\n "x"}'), (e'name: a\nsteps: [{name: a}\n'),
  (e'name: a\nname: b\n'), ('{"name": "a", "name": "b"}'), ('{} {}'), (e'a: 1\n---\nb: 2'), ('a: .nan'), ('{"a": 1e999}'),
  ('a: !secret x'), (e'a: "\\0"'), ('{"a": "\u0000"}'), (e'a: &a [*a]');
select b.n, f.path, regexp_replace(f.message, ': .*( at line .*)', '\1') as message from bad b, tasker.validate_template(b.definition) f order by b.n;
truncate bad restart identity;

-- What is required.
insert into bad (definition) values
  ('{}'), (pg_temp.with('{"name": null, "namespace_name": "gone", "steps": null}')), (pg_temp.with('{"steps": []}')),
  (pg_temp.with('{"steps": {"a": {}}}')), (pg_temp.with('{"steps": ["a", 1, null, []]}')), (pg_temp.with_steps('{}', '{"name": null}'));
:faults

-- Dependencies: cycles by name, in the order of execution, one for each knot; parents that do not exist; a step that
-- depends on itself; names given twice.
insert into bad (definition) values
  (pg_temp.with_steps('{"name": "a", "depends_on": "c"}', '{"name": "b", "depends_on": "a"}', '{"name": "c", "depends_on": "b"}')),
  (pg_temp.with_steps('{"name": "a", "depends_on": "b"}', '{"name": "b", "depends_on": "a"}', '{"name": "c", "depends_on": ["b", "d"]}', '{"name": "d", "depends_on": "c"}', '{"name": "e"}')),
  (pg_temp.with(jsonb_build_object('steps', (select jsonb_agg(jsonb_build_object('name', 's' || i, 'depends_on', 's' || (i + 29) % 30) order by i) from generate_series(0, 29) i)))),
  (pg_temp.with_steps('{"name": "a", "depends_on": "a"}', '{"name": "b", "dependencies": ["a", "b"]}')),
  (pg_temp.with_steps('{"name": "validate_order"}', '{"name": "b", "depends_on": "validate_ordre"}', '{"name": "c", "dependencies": ["zzz", 5, null, "validate_order", "validate_order"]}', '{"name": "d", "depends_on_step": {}}')),
  (pg_temp.with_steps('{"name": "a"}', '{"name": "b"}', '{"name": "a"}', '{"name": "a"}'));
:faults

-- Names, texts, versions.
insert into bad (definition) values
  (pg_temp.with('{"name": "", "namespace_name": ""}')), (pg_temp.with('{"name": "1a", "namespace_name": "Shop"}')), (pg_temp.with('{"name": "a b", "namespace_name": "a-b"}')),
  (pg_temp.with('{"name": 5, "namespace_name": ["a"]}')), (pg_temp.with(jsonb_build_object('name', repeat('x', 129), 'namespace_name', repeat('x', 30)))),
  (pg_temp.with_steps('{"name": "ä"}', '{"name": "a/b"}', '{"name": true}')),
  (pg_temp.with(jsonb_build_object('description', repeat('x', 4097)))), (pg_temp.with('{"description": 1}')),
  (pg_temp.with('{"version": 1}')), (pg_temp.with('{"version": 1.0}')), (pg_temp.with('{"version": "1"}')), (pg_temp.with('{"version": "v1.0.0"}')), (pg_temp.with('{"version": "01.0.0"}')), (pg_temp.with('{"version": ""}')),
  (pg_temp.with_steps('{"name": "a", "handler": {"callable": "", "method": 5}}', '{"name": "b", "handler": []}', '{"name": "c", "handler": {"initialization": []}}')),
  (pg_temp.with('{"metadata": [], "default_context": "x", "input_schema": 5}'));
:faults

-- Fields that we do not know, anywhere, with the nearest that we do; fields that we know and do not honour yet.
insert into bad (definition) values
  (pg_temp.with('{"descripton": "x", "zzz": 1}')), (pg_temp.with('{"lifecycle": {"max_duration": 5, "staleness_action": "alert", "auto_dlq_on_timeout": false}, "limits": {"max_inflight": 5}, "events": {"tasks": []}}')),
  (pg_temp.with_steps('{"name": "a", "timeout": 5}', '{"name": "b", "retries": 5}', '{"name": "c", "retry": {"max_attempt": 5}}', '{"name": "d", "handler": {"calable": "x"}}')),
  (pg_temp.with('{"schema": {}}')), (pg_temp.with_steps('{"name": "a", "dependent_system": "x"}')),
  (pg_temp.with('{"domain_events": ["x"], "limits": {"max_in_flight": 5}, "events": {"step": ["failed"]}}')),
  (pg_temp.with_steps('{"name": "a", "batch_config": {"size": 5}, "publishes_events": ["x"]}', '{"name": "b", "type": "decision"}', '{"name": "c", "type": "standart"}', '{"name": "d", "type": "huh"}')),
  (pg_temp.with('{"identity_strategy": "stict", "on_failure": "fail-fast"}')), (pg_temp.with('{"identity_strategy": null, "on_failure": 5}'));
:faults

-- Two spellings of one thing must agree.
insert into bad (definition) values
  (pg_temp.with_steps('{"name": "a", "retry": {"max_attempts": 5}, "default_retry_limit": 3}', '{"name": "b", "retry": {"initial_delay": 2, "backoff_base_ms": 1000}}', '{"name": "c", "handler": "x.Y", "handler_class": "x.Z"}')),
  (pg_temp.with_steps('{"name": "a", "retry": {"max_attempts": 5}, "default_retry_limit": 5}', '{"name": "b", "retry": {"initial_delay": 1, "backoff_base_ms": 1000}}', '{"name": "c", "handler": "x.Y", "handler_class": "x.Y"}'));
:faults

-- An input schema that is none, or that refers to something outside of itself.
insert into bad (definition) values
  (pg_temp.with('{"input_schema": {"type": "objekt"}}')), (pg_temp.with('{"input_schema": {"properties": {"a": {"minimum": "5"}}}}')),
  (pg_temp.with('{"input_schema": {"properties": {"a": {"pattern": "("}}}}')), (pg_temp.with('{"input_schema": {"properties": {"a": {"$ref": "https://example.com/a.json"}}}}'));
select b.n, f.path from bad b, tasker.validate_template(b.definition) f order by b.n; truncate bad restart identity;

-- The older layout has its own: named_steps and step_templates must agree, and cannot stand beside steps.
insert into bad (definition) values
  (pg_temp.with('{"steps": "gone", "named_steps": ["a", "b", "b", "chrage", 5], "step_templates": [{"name": "a"}, {"name": "charge"}]}')),
  (pg_temp.with('{"steps": "gone", "named_steps": "a", "step_templates": [{"name": "a", "depends_on_step": "x"}]}')),
  (pg_temp.with('{"steps": "gone", "named_steps": ["a"]}')),
  (pg_temp.with('{"step_templates": [{"name": "a"}]}'));
:faults

-- Environments: their faults count, whichever of them is asked for; a cycle may come from an override.
insert into bad (definition) values
  (pg_temp.with('{"environments": []}')), (pg_temp.with('{"environments": {"test": 5, "live": {"steps": [{"name": "d"}, {"name": "a", "timeout_seconds": 0}, {"name": "a"}], "naem": "x", "namespace_name": null}}}')),
  (pg_temp.with('{"environments": {"live": {"environments": {}}}}')),
  (pg_temp.with('{"steps": [{"name": "a"}, {"name": "b", "depends_on": "a"}], "environments": {"live": {"steps": [{"name": "a", "depends_on": "b"}]}}}'));
:faults

-- All faults come at once: in the detail of the error, or as rows.
\set many '{"namespace_name": "Bad", "name": "t", "version": "x", "steps": [{"name": "a", "depends_on": "b"}, {"name": "b", "depends_on": ["a", "z"], "retry": {"backoff": "exponental"}}, {"name": "a"}]}'
select tasker.register_template(:'many');
select path from tasker.validate_template(:'many');
select path from tasker.validate_template(:'many'::jsonb);

-- validate_template registers nothing, whatever it is given.
select count(*) from tasker.namespaces n where n.name = 'test_faults';
select * from tasker.validate_template(null::text);

select * from tasker.check();
