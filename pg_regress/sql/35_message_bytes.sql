-- A step's message is laid out as jsonb without a way through text. Its bytes are those that the parser of jsonb makes of
-- the same text.
\getenv folder PG_ABS_SRCDIR
\set helpers :folder '/helpers.sql'
\set ECHO none
\i :helpers
\set ECHO all

select setseed(0.35);

-- Text of any JSON: scalars of all kinds, strings that need escapes or are long, numbers beyond a bigint or with a scale,
-- empty and large containers.
create function pg_temp.some_json(depth integer)
returns text
language plpgsql
as $$
declare
  kind integer := floor(random() * case when depth > 0 then 13 else 9 end);
  size integer := floor(random() * case when random() < 0.1 then 70 else 5 end);
begin
  return case kind
    when 0 then 'null'
    when 1 then 'true'
    when 2 then 'false'
    when 3 then floor((random() - 0.5) * 10 ^ (random() * 30))::numeric::text
    when 4 then round((random() * 10 ^ floor(random() * 20))::numeric, (random() * 12)::integer)::text
    when 5 then (array['0', '-0.0', '1e100', '1e-100', '10000', '100000000', '-9223372036854775808', '1.10'])[1 + floor(random() * 8)]
    when 6 then to_json(repeat(E'a"\\/\n\u0001', size))::text
    when 7 then to_json(repeat('äöü€🙂', size))::text
    when 8 then to_json(repeat('x', size * size))::text
    when 9 then '{}'
    when 10 then '[]'
    when 11 then (select '[' || coalesce(string_agg(pg_temp.some_json(depth - 1), ','), '') || ']' from generate_series(1, size))
    else (select '{' || coalesce(string_agg(format('"%s%s":%s', repeat('k', (random() * 9)::integer), i, pg_temp.some_json(depth - 1)), ','), '') || '}'
      from generate_series(1, size) i)
  end;
end $$;

-- What a message is put together from, at random.
create temp table parts as
select i, (random() * 10 ^ (random() * 10))::bigint * 1000 + 1000000000 + i as task_id, (random() * 60000)::integer + 1000 as place,
  a.attempt, a.attempt + floor(random() * 1000)::integer as max_attempts,
  (array[1, 300, 86400, 100000000])[1 + floor(random() * 4)] as timeout, floor(random() * 5)::smallint as priority, gen_random_uuid() as correlation_id,
  repeat('n', (random() * 40)::integer) as namespace, repeat('tä', (random() * 200)::integer) as task_name, '1.0.' || i as task_version,
  'step "' || repeat('s', (random() * 20)::integer) as step_name, 'standard' as step_type,
  pg_temp.some_json(2)::jsonb as handler, pg_temp.some_json(3)::jsonb as context,
  case when random() < 0.5 then repeat(E'w\\', (random() * 9)::integer) end as initiator,
  array(select 'tag ' || t from generate_series(1, floor(random() * 40)::integer - 20) t) as tags,
  array(select n * 3 from generate_series(1, p.count) n) as indexes,
  array(select 'parent ' || repeat('p', n) from generate_series(1, p.count) n) as names,
  array(select case when random() > 0.1 then pg_temp.some_json(i % 3)::jsonb end from generate_series(1, p.count)) as results,
  case when random() < 0.2 then 1024 else 1000000 end as max_bytes
from generate_series(1, 400) i,
  lateral (select (array[1, 2, 9999, 10000, 10001, 2147480000])[1 + floor(random() * 6)] as attempt) a,
  lateral (select case i % 4 when 0 then 0 when 1 then 1 when 2 then i % 7 else i % 100 end) p(count);

-- What counts are the results as jsonb, without the length in front, which takes 1 byte in short ones and 4 in others.
create temp table sized as
select p.*, (p.task_id << 16) + p.place as step_id, coalesce(r.bytes, 0) > p.max_bytes as omitted
from parts p, lateral (
  select sum(pg_column_size(r) - case when pg_column_size(r) < 128 then 1 else 4 end) as bytes from unnest(p.results) r) r;

-- The rows that they are in: of the step, its parents, its task, and its node in a template. What else these rows say does
-- not matter here, and none of them stays.
begin;
alter table tasker.template_steps drop constraint template_steps_template_exists;
alter table tasker.tasks drop constraint tasks_is_sound;
insert into tasker.template_steps (template_step_id, template_id, step_index, name, type, handler, retryable, max_attempts, backoff,
  backoff_base_ms, timeout_seconds, skippable, parent_count, parent_indexes, parent_names, level, namespace, task_name, task_version)
overriding system value
select -s.i, -s.i, s.place - 1, s.step_name, s.step_type, s.handler, true, 1, 'none', 0, nullif(s.timeout, 300), false,
  cardinality(s.indexes), s.indexes, s.names, 0, s.namespace, s.task_name, s.task_version
from sized s;
insert into tasker.tasks (task_id, template_id, namespace_id, created_at, started_at, correlation_id, priority, state, active_steps, context, initiator, tags)
overriding system value
select s.task_id, -s.i, -1, now(), now(), s.correlation_id, s.priority, 'in_progress', 1, s.context, s.initiator, s.tags
from sized s;
insert into tasker.steps (step_id, task_id, template_step_id, remaining_parents, attempts, max_attempts, state, next_retry_at)
select s.step_id, s.task_id, -s.i, 0, s.attempt - 1, s.max_attempts, case s.attempt when 1 then 'pending' else 'waiting_for_retry' end,
  case when s.attempt > 1 then now() end
from sized s;
insert into tasker.steps (step_id, task_id, template_step_id, remaining_parents, attempts, max_attempts, state, results, enqueued_at, finished_at)
select (s.task_id << 16) + 1 + p.place, s.task_id, -s.i, 0, 1, 1, 'complete', p.results, now(), now()
from sized s, unnest(s.indexes, s.results) p(place, results);

create function pg_temp.message(step_id bigint, max_bytes integer)
returns jsonb
language plpgsql
as $$
begin
  perform set_config('tasker.max_message_bytes', max_bytes::text, true);
  return (tasker._step_messages(array[step_id], '2040-01-01T00:00:00+00:00'))[1];
end $$;

create temp table messages as
select s.*, pg_temp.message(s.step_id, s.max_bytes) as message,
  jsonb_build_object(
    'step_id', s.step_id, 'task_id', s.task_id, 'attempt', s.attempt, 'namespace', s.namespace, 'step_name', s.step_name,
    'task_name', s.task_name, 'task_version', s.task_version,
    'step_payload', jsonb_build_object(
      'step_context', jsonb_build_object('handler', s.handler, 'inputs', '{}'::jsonb),
      'task_context', s.context),
    'execution_context', jsonb_build_object(
      'step', jsonb_build_object('name', s.step_name, 'type', s.step_type, 'step_id', s.step_id),
      'task', jsonb_build_object('task_id', s.task_id, 'initiator', s.initiator, 'tags', s.tags),
      'sequence', coalesce((
        select jsonb_agg(jsonb_build_object('step_id', (s.task_id << 16) + 1 + i.parent_index, 'step_name', n.name)
          || case when s.omitted then '{"results_omitted": true}' else jsonb_build_object('results', r.results) end order by i.n)
        from unnest(s.indexes) with ordinality i(parent_index, n)
        join unnest(s.names) with ordinality n(name, n) using (n)
        join unnest(s.results) with ordinality r(results, n) using (n)), '[]'))
      || case when s.omitted then '{"results_omitted": true}' else '{}' end::jsonb,
    'metadata', jsonb_build_object(
      'enqueued_at', '2040-01-01T00:00:00+00:00', 'retry_count', s.attempt - 1, 'max_retries', s.max_attempts - 1,
      'timeout_seconds', s.timeout, 'correlation_id', s.correlation_id, 'priority', s.priority)
  )::text::jsonb as parsed
from sized s;

-- All at once they are the same, and in order.
set local tasker.max_message_bytes = 1000000;
select tasker._step_messages(array_agg(o.step_id order by o.i), '2040-01-01T00:00:00+00:00') = array_agg(o.message order by o.i) as same_at_once
from messages o
where not o.omitted;

select count(*) filter (where record_image_eq(row(m.message), row(m.parsed))) as same_bytes,
  count(*) filter (where not record_image_eq(row(m.message), row(m.parsed))) as other_bytes
from messages m;
-- A difference shows here.
select m.i, m.message::text, m.parsed::text from messages m where not record_image_eq(row(m.message), row(m.parsed)) order by length(m.parsed::text) limit 1;

-- They were of all kinds.
select bool_or(m.omitted and cardinality(m.results) > 32) as many_omitted, bool_or(not m.omitted and cardinality(m.results) > 32) as many,
  bool_or(cardinality(m.results) = 0) as roots, bool_or(array_position(m.results, null) > 0) as without_results,
  bool_or(jsonb_typeof(m.results[1]) = 'string') as text_as_results, bool_or(jsonb_typeof(m.results[1]) = 'number') as numbers_as_results,
  bool_or(jsonb_typeof(m.results[1]) = 'null') as nulls_as_results,
  (select bool_or(length(r #>> '{}') > 255) from messages m, unnest(m.results) r) as long_results,
  bool_or(m.context = '{}') as empty_contexts, max(octet_length(m.message::text)) > 20000 as large
from messages m;

-- They can be looked into, and kept.
select count(*) as found
from messages m
where m.message #> '{step_payload,task_context}' = m.context and m.message #> '{step_payload,step_context,handler}' = m.handler
  and m.message @> jsonb_build_object('step_id', m.step_id, 'metadata', jsonb_build_object('retry_count', m.attempt - 1))
  and (cardinality(m.results) = 0 or m.omitted or m.message #> array['execution_context', 'sequence', (cardinality(m.results) - 1)::text, 'results']
    = coalesce(m.results[cardinality(m.results)], 'null'));

-- Results as large as the limit are there, larger ones are not; what jsonb cannot hold is an error, not a broken message.
create function pg_temp.with_results(results jsonb[], max_bytes integer)
returns text
language plpgsql
as $$
declare
  chosen record;
begin
  select m.i, m.step_id into chosen from messages m where cardinality(m.indexes) = 2 order by m.i limit 1;
  update tasker.template_steps ts set parent_names = '{a,b}' where ts.template_step_id = -chosen.i;
  update tasker.steps s
  set results = with_results.results[array_position(m.indexes, (s.step_id & 65535)::integer - 1)]
  from messages m
  where m.i = chosen.i and s.task_id = m.task_id and s.state = 'complete';
  return left(regexp_replace(pg_temp.message(chosen.step_id, max_bytes) #>> '{execution_context,sequence}', '"step_id": \d+, |x{9,}', '', 'g'), 80);
exception when program_limit_exceeded then
  return regexp_replace(sqlerrm, '\d{5,}', 'N');
end $$;
select pg_temp.with_results(array['true', to_jsonb(repeat('x', 1008))], 1024);
select pg_temp.with_results(array['true', to_jsonb(repeat('x', 1009))], 1024);
select pg_temp.with_results(array[to_jsonb(repeat('x', 134217728)), to_jsonb(repeat('y', 134217000))], 268435456);
rollback;
select * from tasker.check();
