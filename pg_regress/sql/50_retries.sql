-- Failed attempts are tried again: as often as the template says, and after as long as it says or the other side asks.
\getenv folder PG_ABS_SRCDIR
\set helpers :folder '/helpers.sql'
\set ECHO none
\i :helpers
\set ECHO all

-- Each kind of backoff, from the template's own values: base 2 s, cap 25 s. A step waits until it is due and not a
-- microsecond longer; the delay is within 10 % of the plain one, and never above the cap.
create temp table tries (kind text, attempt integer, delay interval, early text, due text);
create procedure pg_temp.fail_until_over(kind text, task bigint)
language plpgsql
as $$
declare
  step constant bigint := pg_temp.step(task, 'it');
  try  tries;
begin
  loop
    try := row(kind, pg_temp.attempt(task, 'it'));
    call pg_temp.reply(task, 'it', 'failure');
    call pg_temp.passes();
    select s.next_retry_at - tasker.clock() into try.delay from tasker.steps s where s.step_id = step and s.state = 'waiting_for_retry';
    exit when not found;
    call pg_temp.later(try.delay - interval '1 microsecond');
    call pg_temp.passes();
    try.early := pg_temp.steps(task);
    call pg_temp.later('1 microsecond');
    call pg_temp.passes();
    try.due := pg_temp.steps(task);
    insert into tries select try.*;
  end loop;
end $$;

do $$
declare
  kind text;
begin
  foreach kind in array '{none,linear,exponential,fibonacci}'::text[] loop
    perform tasker.register_template(jsonb_build_object('namespace_name', 'test_retries', 'name', kind, 'version', '1.0.0',
      'steps', jsonb_build_array(jsonb_build_object('name', 'it', 'retry', jsonb_build_object(
        'max_attempts', 7, 'backoff', kind, 'backoff_base_ms', 2000, 'max_backoff_ms', 25000)))));
  end loop;
end $$;
select tasker.request_task('test_retries', 'none') as none, tasker.request_task('test_retries', 'linear') as linear,
  tasker.request_task('test_retries', 'exponential') as exponential, tasker.request_task('test_retries', 'fibonacci') as fibonacci \gset
call pg_temp.passes();
call pg_temp.fail_until_over('none', :none);
call pg_temp.fail_until_over('linear', :linear);
call pg_temp.fail_until_over('exponential', :exponential);
call pg_temp.fail_until_over('fibonacci', :fibonacci);
select pg_temp.steps(:none) as none, pg_temp.steps(:linear) as linear, pg_temp.steps(:exponential) as exponential, pg_temp.steps(:fibonacci) as fibonacci;

with plain(kind, seconds) as (
  values
    ('none', '{2,2,2,2,2,2}'::integer[]),
    ('linear', '{2,4,6,8,10,12}'),
    ('exponential', '{2,4,8,16,25,25}'),
    ('fibonacci', '{2,2,4,6,10,16}')
)
select p.kind, t.attempt, p.seconds[t.attempt] as seconds,
  extract(epoch from t.delay) between 0.9 * p.seconds[t.attempt] and least(1.1 * p.seconds[t.attempt], 25) as jittered,
  t.early, t.due
from plain p
join tries t on t.kind = p.kind
order by array_position('{none,linear,exponential,fibonacci}', p.kind), t.attempt;

-- Jitter spreads those that failed together.
select count(*) from tasker.request_tasks('test_retries', 'linear', array_fill('{}'::jsonb, array[200]));
call pg_temp.passes();
create temp view linear as
select s.*, extract(epoch from s.next_retry_at - tasker.clock()) as delay
from tasker.steps s
join tasker.task_status t using (task_id)
where t.namespace = 'test_retries' and t.name = 'linear' and t.finished_at is null;
select count(*) from linear s, pgmq.send('orchestration_step_results', jsonb_build_object('step_id', s.step_id, 'status', 'failure'));
select * from pg_temp.pass();
select count(*), min(delay) between 1.8 and 1.9 as earliest, max(delay) between 2.1 and 2.2 as latest, count(distinct delay) > 50 as spread from linear;
call pg_temp.quiet();

-- A template that names no cap has the setting's.
call pg_temp.register($$
  namespace_name: test_retries
  name: uncapped
  version: 1.0.0
  steps: [{name: it, retry: {max_attempts: 3, backoff: exponential, backoff_base_ms: 10000000}}]
$$);
set tasker.max_backoff = '20s';
select tasker.request_task('test_retries', 'uncapped') as task \gset
call pg_temp.passes();
call pg_temp.reply(:task, 'it', 'failure');
call pg_temp.passes();
select next_retry_at - tasker.clock() between interval '18 seconds' and interval '20 seconds' as capped from tasker.steps where task_id = :task;
reset tasker.max_backoff;
call pg_temp.later('20 seconds');
call pg_temp.passes();
call pg_temp.reply(:task, 'it', 'failure');
call pg_temp.passes();
select next_retry_at - tasker.clock() between interval '270 seconds' and interval '300 seconds' as capped from tasker.steps where task_id = :task;
call pg_temp.quiet();

-- What the other side asks for goes first, to the letter and without jitter, up to a day and beyond max_backoff. What is
-- no such word, garbage, nothing, or in the past, leaves the policy's delay. requested is what backoff_request_seconds says.
call pg_temp.register($$
  namespace_name: test_retries
  name: asked
  version: 1.0.0
  steps: [{name: it, retry: {max_attempts: 3, backoff: none, backoff_base_ms: 1000, max_backoff_ms: 1100}}]
$$);
set tasker.fake_now = '2040-01-02 00:00:00+00';
create temp table asked (n integer generated always as identity, metadata jsonb, task_id bigint);
insert into asked (metadata) values
  ('{"headers": {"retry-after": "60"}}'),
  ('{"headers": {"Retry-After": "90"}}'),
  ('{"headers": {"RETRY-AFTER": " 120 "}}'),
  ('{"headers": {"retry-after": 45}}'),
  ('{"headers": {"retry-After": "Mon, 02 Jan 2040 00:10:00 GMT"}}'),
  ('{"headers": {"Retry-after": "Monday, 02-Jan-40 00:20:00 GMT"}}'),
  ('{"headers": {"retry-after": "Mon Jan  2 00:30:00 2040"}}'),
  ('{"backoff_hint": {"type": "server_requested", "seconds": 75}}'),
  ('{"backoff_hint": {"backoff_type": "server_requested", "delay_seconds": 30.5}}'),
  ('{"headers": {"retry-after": "10"}, "backoff_hint": {"type": "server_requested", "seconds": 99}}'),
  ('{"headers": {"retry-after": "soon"}, "backoff_hint": {"type": "server_requested", "seconds": 99}}'),
  ('{"headers": {"x-other": "1"}, "backoff_hint": {"type": "server_requested", "seconds": 99}, "custom": {"a": 1}, "error_context": "busy"}'),
  ('{"headers": {"retry-after": "86400"}}'),
  ('{"headers": {"retry-after": "86401"}}'),
  ('{"headers": {"retry-after": "99999999999999999999999"}}'),
  ('{"headers": {"retry-after": "Fri, 01 Jan 2100 00:00:00 GMT"}}'),
  ('{"backoff_hint": {"type": "server_requested", "seconds": 1e30}}'),
  (null),
  ('{}'),
  ('{"headers": {}}'),
  ('{"headers": {"retry-after": "soon"}}'),
  ('{"headers": {"retry-after": ""}}'),
  ('{"headers": {"retry-after": null}}'),
  ('{"headers": {"retry-after": {}}}'),
  ('{"headers": {"retry-after": true}}'),
  ('{"headers": {"retry-after": "0"}}'),
  ('{"headers": {"retry-after": "-5"}}'),
  ('{"headers": {"retry-after": "NaN"}}'),
  ('{"headers": {"retry-after": "inf"}}'),
  ('{"headers": {"retry-after": "Sun, 01 Jan 2040 23:59:59 GMT"}}'),
  ('{"headers": {"retry-after": "Mon, 02 Jan 2040 00:00:00 GMT"}}'),
  ('{"headers": {"retry-after": "2040-01-02 00:10:00"}}'),
  ('{"backoff_hint": {}}'),
  ('{"backoff_hint": {"type": "server_requested", "seconds": -1}}'),
  ('{"backoff_hint": {"type": "server_requested", "seconds": 0}}'),
  ('{"backoff_hint": {"type": "server_requested", "seconds": {}}}'),
  ('{"backoff_hint": {"type": "server_requested"}}');
update asked a set task_id = t.task_id
from tasker.request_tasks('test_retries', 'asked', array_fill('{}'::jsonb, array[(select count(*) from asked)::integer])) with ordinality t(task_id, n)
where t.n = a.n;
call pg_temp.passes();
select count(*) from asked a, pgmq.send('orchestration_step_results', jsonb_strip_nulls(jsonb_build_object('step_id', pg_temp.step(a.task_id, 'it'),
  'status', 'failure')) || coalesce(jsonb_build_object('orchestration_metadata', a.metadata), '{}'));
select * from pg_temp.pass();
select a.metadata, s.backoff_request_seconds as requested,
  case when d.delay between interval '0.9 seconds' and interval '1.1 seconds' then 'policy' else d.delay::text end as delay
from asked a
join tasker.steps s on s.step_id = pg_temp.step(a.task_id, 'it')
cross join lateral (select s.next_retry_at - tasker.clock() as delay) d
order by a.n;

-- The next failure is a matter of its own.
select task_id as task from asked where n = 1 \gset
call pg_temp.later('59.999999 seconds');
call pg_temp.passes();
select pg_temp.steps(:task) as steps;
call pg_temp.later('0.000001 seconds');
call pg_temp.passes();
select pg_temp.steps(:task) as steps;
call pg_temp.reply(:task, 'it', 'failure');
call pg_temp.passes();
select backoff_request_seconds, next_retry_at - tasker.clock() <= interval '1.1 seconds' as by_policy from tasker.steps where task_id = :task;
call pg_temp.quiet();

-- tasker.max_server_delay caps what may be asked for.
set tasker.max_server_delay = '30s';
select tasker.request_task('test_retries', 'asked') as task \gset
call pg_temp.passes();
call pg_temp.reply(:task, 'it', 'failure', '{"orchestration_metadata": {"headers": {"retry-after": "31"}}}');
call pg_temp.passes();
select backoff_request_seconds, next_retry_at - tasker.clock() as delay from tasker.steps where task_id = :task;
reset tasker.max_server_delay;

-- max_attempts counts all tries: 0 and 1 both mean one. No try is made of what is not retryable, by the template or by
-- the error, whatever the other side asks for.
call pg_temp.register($$
  namespace_name: test_retries
  name: tries
  version: 1.0.0
  steps:
    - {name: zero, retry: {max_attempts: 0, backoff: none, backoff_base_ms: 1}}
    - {name: one, retry: {max_attempts: 1, backoff: none, backoff_base_ms: 1}}
    - {name: two, retry: {max_attempts: 2, backoff: none, backoff_base_ms: 1}}
    - {name: three, retry: {max_attempts: 3, backoff: none, backoff_base_ms: 1}}
    - {name: never, retry: {retryable: false, max_attempts: 3, backoff: none, backoff_base_ms: 1}}
    - {name: hopeless, retry: {max_attempts: 3, backoff: none, backoff_base_ms: 1}}
$$);
select tasker.request_task('test_retries', 'tries') as task \gset
call pg_temp.passes();
call pg_temp.reply(:task, 'hopeless', 'failure', '{"error": {"retryable": false}, "orchestration_metadata": {"headers": {"retry-after": "5"}}}');
call pg_temp.reply(:task, 'never', 'failure', '{"error": {"retryable": true}, "orchestration_metadata": {"headers": {"retry-after": "5"}}}');
call pg_temp.reply(:task, 'zero', 'failure');
call pg_temp.reply(:task, 'one', 'failure');
call pg_temp.reply(:task, 'two', 'failure');
call pg_temp.reply(:task, 'three', 'failure');
select * from pg_temp.pass();
select pg_temp.steps(:task) as steps;
select name, retry_eligible, max_attempts from tasker.get_step_readiness_status(:task);
call pg_temp.later('2 milliseconds');
call pg_temp.passes();
call pg_temp.reply(:task, 'two', 'failure');
call pg_temp.reply(:task, 'three', 'failure');
call pg_temp.passes();
select pg_temp.steps(:task) as steps;
call pg_temp.later('2 milliseconds');
call pg_temp.passes();
call pg_temp.reply(:task, 'three', 'failure');
select * from pg_temp.pass();
select pg_temp.task(:task) as task, pg_temp.steps(:task) as steps;

-- What a step went through can be read afterwards.
select attempt, from_state, to_state from tasker.step_transitions where step_id = pg_temp.step(:task, 'two') order by step_transition_id;

-- An hour and more of retries, in no time.
call pg_temp.register($$
  namespace_name: test_retries
  name: patient
  version: 1.0.0
  steps: [{name: it, retry: {max_attempts: 40, backoff: exponential, backoff_base_ms: 1000, max_backoff_ms: 120000}}]
$$);
truncate tries;
select tasker.request_task('test_retries', 'patient') as task, tasker.clock() as before, clock_timestamp() as really_before \gset
call pg_temp.passes();
call pg_temp.fail_until_over('patient', :task);
select pg_temp.steps(:task) as steps, count(*) as retries, tasker.clock() - :'before' > interval '1 hour' as an_hour,
  clock_timestamp() - :'really_before' < interval '1 minute' as no_time
from tries;

select * from tasker.check();
