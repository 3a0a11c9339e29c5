-- Workers that advance their own work: a result is settled, and what it makes ready enqueued, in the worker's own call.
\getenv folder PG_ABS_SRCDIR
\set helpers :folder '/helpers.sql'
\set ECHO none
\i :helpers
\set ECHO all

call pg_temp.register('{"namespace_name": "test_advance", "name": "diamond", "steps": [{"name": "a"}, {"name": "b", "dependencies": ["a"]}, {"name": "c", "dependencies": ["a"]}, {"name": "d", "dependencies": ["b", "c"], "retry": {"max_attempts": 2, "backoff": "none", "backoff_base_ms": 1000, "max_backoff_ms": 1000}}]}');
create function pg_temp.results(status text default 'success', qty integer default 10)
returns jsonb[]
language sql
as $$
  select array_agg(jsonb_build_object('step_id', p.step_id, 'attempt', p.attempt, 'status', status, 'result_data', p.message ->> 'step_name'))
  from tasker.poll_steps('test_advance', qty) p
$$;

-- No pass between a step and the next, and the task ends with its last step.
select tasker.request_task('test_advance', 'diamond') as task \gset
call pg_temp.passes();
select pg_temp.results() as results \gset
select item, attempt, outcome from tasker.complete_steps(:'results', advance => true);
select * from pg_temp.queue('test_advance');
select pg_temp.steps(:task) as steps;
select * from tasker.check();
-- Siblings in one call, and one of them twice.
select pg_temp.results() as results \gset
select item, attempt, outcome from tasker.complete_steps(:'results'::jsonb[] || (:'results'::jsonb[])[1], advance => true);
select pg_temp.steps(:task) as steps;
select q.message #> '{execution_context,sequence}' -> 0 -> 'results' as results from pgmq.q_test_advance_queue q;
-- A failure gets its delay, the last success ends the task.
select pg_temp.results('failure') as results \gset
select item, attempt, outcome from tasker.complete_steps(:'results', advance => true);
select pg_temp.steps(:task) as steps;
call pg_temp.later('2 seconds');
call pg_temp.passes();
select pg_temp.results() as results \gset
select item, attempt, outcome from tasker.complete_steps(:'results', advance => true);
select pg_temp.task(:task) as task, pg_temp.steps(:task) as steps;
select item, attempt, outcome from tasker.complete_steps(:'results', advance => true);
select * from tasker.check();

-- The same rules of capacity: what finds no room waits, and what is ended makes room.
select tasker.set_namespace_limit('test_advance', 1);
select count(*) from tasker.request_tasks('test_advance', 'diamond', array_fill('{}'::jsonb, array[3]));
call pg_temp.passes();
select steps from pg_temp.in_flight('test_advance');
select pg_temp.results() as results \gset
select item, outcome from tasker.complete_steps(:'results', advance => true);
select steps from pg_temp.in_flight('test_advance');
select * from tasker.check();

-- exchange_steps delivers, advances and receives: the whole backlog without a pass.
do $$
declare
  results jsonb[] := null;
  calls   integer := 0;
begin
  loop
    select array_agg(jsonb_build_object('step_id', x.step_id, 'attempt', x.attempt, 'status', 'success')) into results
    from tasker.exchange_steps('test_advance', results, 10) x;
    exit when results is null;
    calls := calls + 1;
  end loop;
  raise warning '% calls', calls;
exception when active_sql_transaction then
  raise warning 'one transaction, one exchange: %', sqlerrm;
end $$;
create procedure pg_temp.work()
language plpgsql
as $$
declare
  results jsonb[] := null;
  steps   integer := 0;
begin
  loop
    select array_agg(jsonb_build_object('step_id', x.step_id, 'attempt', x.attempt, 'status', 'success')) into results
    from tasker.exchange_steps('test_advance', results, 10) x;
    commit;
    exit when results is null;
    steps := steps + cardinality(results);
  end loop;
  raise warning '% steps', steps;
end $$;
call pg_temp.work();
select t.state, count(*) from tasker.tasks t join tasker.namespaces n using (namespace_id) where n.name = 'test_advance' group by 1;
select * from tasker.check();

-- A queue that somebody has dropped keeps nobody from delivering; what became ready waits for it.
call pg_temp.register($$
  namespace_name: test_advance_gone
  name: chain
  version: 1.0.0
  steps: [{name: a}, {name: b, dependencies: [a]}]
$$);
select tasker.request_task('test_advance_gone', 'chain') as one, tasker.request_task('test_advance_gone', 'chain') as other \gset
call pg_temp.passes();
select count(*) from tasker.poll_steps('test_advance_gone', 2);
select pgmq.drop_queue('test_advance_gone_queue');
select outcome from tasker.complete_steps(array[jsonb_build_object('step_id', pg_temp.step(:one, 'a'), 'attempt', 1, 'status', 'success')], advance => true);
select count(*) from tasker.exchange_steps('test_advance_gone', array[jsonb_build_object('step_id', pg_temp.step(:other, 'a'), 'attempt', 1, 'status', 'success')]);
select pg_temp.steps(:one) as one, pg_temp.steps(:other) as other;
\set VERBOSITY sqlstate
select count(*) from tasker.exchange_steps('test_advance_gone');
\set VERBOSITY default
select tasker.create_namespace('test_advance_gone') > 0 as made_again;
call pg_temp.passes();
select count(*) from tasker.poll_steps('test_advance_gone', 2);

-- What breaks on the way keeps nobody from delivering: a pass sets apart what is to blame, and nothing else.
call pg_temp.register($$
  namespace_name: test_advance_broken
  name: chain
  version: 1.0.0
  steps: [{name: a}, {name: b, dependencies: [a]}]
$$);
select tasker.request_task('test_advance_broken', 'chain') as one, tasker.request_task('test_advance_broken', 'chain') as other \gset
call pg_temp.passes();
select count(*) from tasker.poll_steps('test_advance_broken', 2);
create function pg_temp.trouble() returns trigger language plpgsql as $$ begin raise division_by_zero; end $$;
create procedure pg_temp.break_step(step_id bigint) language plpgsql as $$
begin
  execute format('create trigger trouble before update on tasker.steps for each row
    when (new.step_id = %s and new.state = ''enqueued'') execute function pg_temp.trouble()', step_id);
end $$;
call pg_temp.break_step(pg_temp.step(:one, 'b'));
select outcome from tasker.complete_steps(array[
  jsonb_build_object('step_id', pg_temp.step(:one, 'a'), 'attempt', 1, 'status', 'success'),
  jsonb_build_object('step_id', pg_temp.step(:other, 'a'), 'attempt', 1, 'status', 'success')], advance => true);
set client_min_messages = error;
call pg_temp.passes();
reset client_min_messages;
select pg_temp.steps(:one) as one, pg_temp.steps(:other) as other;
drop trigger trouble on tasker.steps;
select count(*) from tasker.cancel_tasks(namespace => 'test_advance_broken', dry_run => false);

-- Not after the transaction's own writes.
\set VERBOSITY sqlstate
begin;
create temp table business (x integer);
select * from tasker.complete_steps('{}', advance => true);
rollback;
begin isolation level repeatable read;
select * from tasker.complete_steps('{}', advance => true);
rollback;
select * from tasker.complete_steps('{"[]"}', advance => true);
\set VERBOSITY default
select * from tasker.check();
