-- Results are read out of jsonb without the server's operators. What is read is what the operators would say.
\getenv folder PG_ABS_SRCDIR
\set helpers :folder '/helpers.sql'
\set ECHO none
\i :helpers
\set ECHO all

select setseed(0.45);

-- Values of each field: good ones, at the limits, and of any other kind.
create function pg_temp.one_of(variadic choices text[]) returns text language sql volatile
return choices[1 + floor(random() * cardinality(choices))];
create temp table sent as
select n, (select jsonb_object_agg(f.name, f.value::jsonb) from (values
    ('step_id', pg_temp.one_of('65537', '65537', '65537', '131073', '9223372036854775807', '9223372036854775808', '1e4', '10000', '65537.0', '-1', '0', '"1"', '[1]')),
    ('task_id', pg_temp.one_of(null, null, '1', '1', '2', '10000', '140737488355327', '1.0', 'null', '99999999999999999999', '"x"')),
    ('attempt', pg_temp.one_of(null, '1', '1', '2147483647', '2147483648', '0', '1.5', 'null', 'true', '-3')),
    ('status', pg_temp.one_of('"success"', '"success"', '"failure"', '"FAILED"', '"Completed"', '"timed_out"', '"done"', '7', 'null')),
    ('result_data', pg_temp.one_of(null, 'null', '{}', '[]', '{"a": [1, {"b": null}]}', '"text"', '""', '12.50', '-0.00001', '1e300', 'true', 'false')),
    ('error', pg_temp.one_of(null, null, null, 'null', '"why"', '{"message": "m"}', '{"retryable": 1}', '[]')),
    ('orchestration_metadata', pg_temp.one_of(null, null, null, 'null', '{"headers": {}}', '"x"')),
    ('execution_time_ms', pg_temp.one_of(null, '12', '12.5', '12.49999999', '0.5', '0.4', '0', '9999.5', '2147483648', '9007199254740992', '9007199254740993.5', '-1', '-0.3', '1e20', '"1"', 'null')),
    ('reported', pg_temp.one_of(null, null, 'true', 'false')),
    (pg_temp.one_of('a', 'zz', 'a field with a long name', 'step_idx'), pg_temp.one_of(null, '1', '{"status": "success"}'))
  ) f(name, value) where f.value is not null and n > 0) as message -- anew for each n
from generate_series(1, 5000) n;
insert into sent values (0, '7'), (-1, '[]'), (-2, 'null'), (-3, '{}'), (-4, '"step_id"');

-- By the operators, and by the check that works on text.
create temp table expected as
select m.n, coalesce(f.fault, case when (m.message ->> 'task_id')::numeric <> m.step >> 16
    then format('step %s is not of task %s', m.step, m.message ->> 'task_id') end) as fault,
  m.step as step_id, (m.message ->> 'attempt')::integer as attempt, coalesce(m.message -> 'reported' = 'true', false) as reported,
  coalesce(lower(m.message ->> 'status') in ('success', 'completed'), false) as success, m.message -> 'result_data' as results,
  tasker._error_object(m.message -> 'error') as error, nullif(m.message -> 'orchestration_metadata', 'null') as metadata,
  case when m.message ->> 'execution_time_ms' is not null then least((m.message ->> 'execution_time_ms')::numeric, 2147483647)::integer end as took_ms, pg_column_size(m.message || '{}') as bytes
from (select s.n, s.message from sent s) s
cross join lateral (select tasker._result_fault(s.message) as fault) f
cross join lateral (
  select s.n, s.message, case when f.fault is null then (s.message ->> 'step_id')::bigint end as step) m
where f.fault is null;

create temp table found as
select s.ns[r.n] as n, r.fault, r.step_id, r.attempt, r.reported, r.success, r.results, r.error, r.metadata, r.took_ms, r.bytes
from (select array_agg(s.n order by s.n) as ns, array_agg(s.message order by s.n) as messages from sent s) s
cross join lateral tasker._read_results(s.messages) r;

-- Who has a fault, and which.
select count(*) > 2000 as faulty, count(distinct f.fault) > 50 as of_many_kinds
from found f
where f.fault is not null;
select f.n, s.message, f.fault, e.fault as expected
from found f
join sent s on s.n = f.n
left join expected e on e.n = f.n
where coalesce(e.fault, tasker._result_fault(s.message)) is distinct from f.fault or f.fault is not null and f.step_id is not null;

-- What the others say, to the bit.
select count(*) > 50 as many, count(distinct f.results) as kinds_of_results, count(distinct f.took_ms) as durations
from found f
where f.fault is null;
select f.*, e.*
from found f
join expected e on e.n = f.n
where f.fault is null and (f.*) is distinct from (e.*);
select f.n
from found f
join expected e on e.n = f.n
where f.fault is null
  and (jsonb_send(f.results), jsonb_send(f.error), jsonb_send(f.metadata), f.results ->> 0, pg_column_size(f.results))
    is distinct from (jsonb_send(e.results), jsonb_send(e.error), jsonb_send(e.metadata), e.results ->> 0, pg_column_size(e.results));
select * from tasker.check();
