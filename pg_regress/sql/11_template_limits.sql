-- How much a template may hold, and in which ranges its numbers lie.
\getenv folder PG_ABS_SRCDIR
\set helpers :folder '/helpers.sql'
\set ECHO none
\i :helpers
\set ECHO all

create function pg_temp.template(steps jsonb, rest jsonb default '{}')
returns text
language sql
as $$ select (jsonb_build_object('namespace_name', 'test_template_limits', 'name', 't', 'steps', steps) || rest)::text $$;
create function pg_temp.named(first integer, last integer, rest jsonb default '{}')
returns jsonb
language sql
as $$ select jsonb_agg(jsonb_build_object('name', 's' || i) || rest order by i) from generate_series(first, last) i $$;

-- Every number has its range: the ends of it are good, what lies beyond is not.
create temp table range (field text, least bigint, most bigint);
insert into range values
  ('retry.max_attempts', 0, 1000), ('retry.backoff_base_ms', 0, 86400000), ('retry.max_backoff_ms', 0, 86400000),
  ('retry.initial_delay', 0, 86400), ('retry.max_delay', 0, 86400), ('timeout_seconds', 1, 604800);
select r.field, v.value,
  coalesce((select string_agg(f.path || ' ' || f.message, '; ') from tasker.validate_template(pg_temp.template(jsonb_build_array(
    case when r.field like 'retry.%' then jsonb_build_object('name', 'a', 'retry', jsonb_build_object(substr(r.field, 7), v.value))
      else jsonb_build_object('name', 'a', r.field, v.value) end))) f), 'good') as verdict
from range r
cross join lateral (values (r.least - 1), (r.least), (r.most), (r.most + 1)) v(value)
order by r.field, v.value;
select m.value, f.path, f.message
from (values (0), (1), (5270400), (5270401)) m(value)
left join lateral tasker.validate_template(pg_temp.template('[{"name": "a"}]', jsonb_build_object('lifecycle', jsonb_build_object('max_duration_minutes', m.value)))) f on true
order by m.value;

-- Neither texts nor fractions stand for whole numbers, nor words for true and false.
select f.*
from tasker.validate_template(pg_temp.template('[
  {"name": "a", "timeout_seconds": "5"}, {"name": "b", "timeout_seconds": 1.5}, {"name": "c", "retry": {"max_attempts": true}},
  {"name": "d", "retry": {"retryable": "yes"}}, {"name": "e", "skippable": 1}, {"name": "f", "retry": {"initial_delay": "1s"}}]')) f;

-- A delay in seconds may have a fraction; it is kept in milliseconds.
select f.* from tasker.validate_template(pg_temp.template('[{"name": "a", "retry": {"initial_delay": 0.25, "backoff_base_ms": 250}}]')) f;

-- 128 characters of a name, 29 of a namespace, 4,096 of a description are good.
select count(*) as faults
from tasker.validate_template(pg_temp.template(jsonb_build_array(jsonb_build_object('name', repeat('n', 128), 'description', repeat('ä', 4096))),
  jsonb_build_object('namespace_name', repeat('n', 29), 'name', repeat('N', 128)))) f;

-- At most 10,000 steps.
select count(*) as faults from tasker.validate_template(pg_temp.template(pg_temp.named(1, 10000))) f;
select f.* from tasker.validate_template(pg_temp.template(pg_temp.named(1, 10001))) f;

-- 10,000 steps in one chain are registered, and so is a fan-in of 9,999 parents.
select tasker.register_template(pg_temp.template(
  (select jsonb_agg(jsonb_build_object('name', 's' || i, 'depends_on', case when i > 0 then jsonb_build_array('s' || i - 1) else '[]' end) order by i)
   from generate_series(0, 9999) i), '{"name": "chain"}')) as chain \gset
select max(ts.level) as deepest, max(ts.parent_count) as most_parents, count(*) from tasker.template_steps ts where ts.template_id = :chain;
select tasker.register_template(pg_temp.template(
  pg_temp.named(1, 9999) || jsonb_build_object('name', 'all', 'depends_on', (select jsonb_agg('s' || i) from generate_series(1, 9999) i)), '{"name": "fan_in"}')) as fan_in \gset
select max(ts.level) as deepest, max(ts.parent_count) as most_parents, count(*) from tasker.template_steps ts where ts.template_id = :fan_in;

-- Lists and mappings nest up to 64 levels, the definition itself being the first.
create function pg_temp.nested(levels integer)
returns jsonb
language sql
as $$ select (repeat('[', levels) || repeat(']', levels))::jsonb $$;
select count(*) as faults from tasker.validate_template(pg_temp.template('[{"name": "a"}]', jsonb_build_object('metadata', jsonb_build_object('deep', pg_temp.nested(62))))) f;
select f.path, f.message ~ 'nested more than 64 levels deep' as says_so from tasker.validate_template(pg_temp.template('[{"name": "a"}]', jsonb_build_object('metadata', jsonb_build_object('deep', pg_temp.nested(63))))) f;

-- 10 MB of text at most, aliases expanded.
select f.* from tasker.validate_template(repeat(' ', 10485761)) f;
select count(*) = 1 and min(f.message) ~ 'too large once its aliases are expanded' as refused
from tasker.validate_template(format(e'metadata: {a: &a %s}\nnamespace_name: n\nname: [%s]', repeat('x', 1000000), repeat('*a, ', 100))) f;

-- A thousand faults are listed; of more, their number.
select count(*), (array_agg(f.message order by f.message))[1] as first_by_letters from tasker.validate_template(pg_temp.template(pg_temp.named(1, 1500, '{"skippable": 5}'))) f;

select * from tasker.check();
