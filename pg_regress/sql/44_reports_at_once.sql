-- complete_steps reports at once what the long way reports, with the same outcomes.
\getenv folder PG_ABS_SRCDIR
\set helpers :folder '/helpers.sql'
\set ECHO none
\i :helpers
\set ECHO all
call pg_temp.register($$
  namespace_name: test_reports
  name: chain
  version: 1.0.0
  steps: [{name: a}, {name: b, dependencies: [a]}]
$$);

-- Steps of every kind: on the queue, at a worker, reported, over, cancelled, not ready, waiting for a retry.
select count(*) from tasker.request_tasks('test_reports', 'chain', array_fill('{}'::jsonb, array[8]));
call pg_temp.passes();
select min(t.task_id) as first from tasker.tasks t where t.state = 'in_progress' \gset
select count(*) from tasker.poll_steps('test_reports', 5);
select tasker.complete_step(pg_temp.step(:first, 'a'), 1);
call pg_temp.passes();
select tasker.complete_step(pg_temp.step(:first + 1, 'a'), 1, '{"by": "hand"}');
select tasker.cancel_task(:first + 2) is not null as cancelled;
select tasker.fail_step(pg_temp.step(:first + 3, 'a'), 1, '{"message": "not yet"}');
call pg_temp.passes();
select tasker.complete_step(pg_temp.step(:first + 4, 'a'), 1);

create function pg_temp.reported()
returns setof text
language sql
as $$
  select concat_ws(' ', s.step_id, s.state, s.attempts, s.reported_at, s.reported_status, s.results, s.last_error) from tasker.steps s
  where s.task_id in (select t.task_id from tasker.tasks t join tasker.namespaces n using (namespace_id) where n.name = 'test_reports')
  union all
  select concat_ws(' ', 'message', row_number() over (order by q.msg_id), q.message) from pgmq.q_orchestration_step_results q
$$;

-- What it says and writes, which is undone.
create function pg_temp.after(at_once boolean, reports jsonb[])
returns text[]
language plpgsql
as $$
declare
  what text[];
begin
  if at_once then
    what := array(select concat_ws(' ', 'outcome', c.item, c.step_id, c.attempt, c.outcome) from tasker.complete_steps(reports) c);
  else
    what := array(select concat_ws(' ', 'outcome', c.item, c.step_id, c.attempt, c.outcome)
      from tasker._complete_with_care(reports, false, false) c);
  end if;
  what := what || array(select l from pg_temp.reported() l order by l collate "C");
  raise exception using errcode = 'UNDO1';
exception when sqlstate 'UNDO1' then
  return what;
end $$;

create function pg_temp.some(task bigint, how_many integer)
returns jsonb[]
language sql
as $$
  select array_agg(jsonb_build_object('step_id', c.step_id, 'attempt', c.attempt, 'status', 'success', 'task_id', c.step_id >> 16)
    || c.rest)
  from (
    select distinct on (r.step_id) r.*
    from (
      select ((task + floor(random() * 9)::bigint) << 16) + 1 + floor(random() * 2)::integer as step_id,
        1 + (random() < 0.1)::integer as attempt,
        (array['{}', '{"result_data": null}', '{"result_data": {"deep": [1, {"er": "ü"}]}, "execution_time_ms": 12}',
          '{"result_data": 7, "error": null}'])[1 + floor(random() * 4)::integer]::jsonb as rest
      from generate_series(1, how_many)
    ) r
  ) c
$$;

select setseed(0.44);
with round as materialized (
  select n, pg_temp.some(:first, 1 + n % 12) as reports from generate_series(1, 200) n
), gone as materialized (
  select r.n, pg_temp.after(true, r.reports) as short, pg_temp.after(false, r.reports) as long from round r
)
select count(*) as rounds, count(*) filter (where g.short is distinct from g.long) as different,
  count(*) filter (where exists (select from unnest(g.short) l where l like 'outcome%queued')) > 100 as many_queued,
  count(*) filter (where exists (select from unnest(g.short) l where l like 'outcome%late')) > 100 as many_late,
  count(*) filter (where exists (select from unnest(g.short) l where l like 'outcome%cancelled')) > 20 as many_cancelled
from gone g;

-- Only the long way hands on what nobody knows.
create function pg_temp.hands_on(reports jsonb[], out outcomes text[], out at_once boolean)
language plpgsql
as $$
begin
  outcomes := array(select c.outcome from tasker.complete_steps(reports) c order by c.item);
  at_once := not exists (select from pgmq.q_orchestration_step_results q where q.message ? 'unknown');
end $$;
create function pg_temp.success(task bigint)
returns jsonb
language sql
as $$ select jsonb_build_object('step_id', pg_temp.step(task, 'a'), 'attempt', 1, 'status', 'success', 'unknown', true) $$;
begin;
select * from pg_temp.hands_on(array[pg_temp.success(:first + 5), pg_temp.success(:first + 6)]);
rollback;
-- Two of one step, a failure, somebody's trigger, more than may be read at read committed: the long way.
begin;
select * from pg_temp.hands_on(array[pg_temp.success(:first + 5), pg_temp.success(:first + 5)]);
rollback;
begin;
select * from pg_temp.hands_on(array[pg_temp.success(:first + 5), pg_temp.success(:first + 6) || '{"status": "failed"}']);
rollback;
begin;
create function pg_temp.nothing() returns trigger language plpgsql as $$ begin return new; end $$;
create trigger nothing before update on tasker.steps for each row execute function pg_temp.nothing();
select * from pg_temp.hands_on(array[pg_temp.success(:first + 5)]);
rollback;
begin isolation level repeatable read;
select * from pg_temp.hands_on(array[pg_temp.success(:first + 5)]);
rollback;

-- What is wrong is said as ever, and nothing is taken.
select outcome from tasker.complete_steps(array[pg_temp.success(:first + 5), '{"step_id": "x", "status": "success"}']);
select outcome from tasker.complete_steps(array[pg_temp.success(:first + 5), null]);
\set VERBOSITY terse
select outcome from tasker.complete_steps(array[pg_temp.success(:first + 5) || '{"task_id": 1}']);
\set VERBOSITY default
set tasker.max_payload_bytes = 2000;
select outcome from tasker.complete_steps(array[pg_temp.success(:first + 5) || jsonb_build_object('result_data', repeat('x', 3000))]);
reset tasker.max_payload_bytes;
select * from tasker.complete_steps('{}');
select * from tasker.complete_steps(null);
select s.reported_at from tasker.steps s where s.step_id = pg_temp.step(:first + 5, 'a');

call pg_temp.quiet();
select tasker.drop_namespace('test_reports', force => true);
select * from tasker.check();
