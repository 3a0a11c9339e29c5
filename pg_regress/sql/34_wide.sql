-- A fan-out of a thousand and its fan-in.
\getenv folder PG_ABS_SRCDIR
\set helpers :folder '/helpers.sql'
\set looking :folder '/looking.sql'
\set ECHO none
\i :helpers
\i :looking
\set ECHO all

create function pg_temp.wide(template text, middle integer)
returns text
language sql
as $$
  select jsonb_build_object('namespace_name', 'test_wide', 'name', template, 'steps',
    '[{"name": "source"}]'
    || (select jsonb_agg(jsonb_build_object('name', 'm' || i, 'depends_on', 'source') order by i) from generate_series(1, middle) i)
    || jsonb_build_object('name', 'sink', 'depends_on', (select jsonb_agg('m' || i) from generate_series(1, middle) i)))::text
$$;
select tasker.create_namespace('test_wide', max_in_flight => null) > 0 as created;
call pg_temp.register(pg_temp.wide('wide', 1000));
select tasker.request_task('test_wide', 'wide') as task \gset

-- The fan-out goes to the queue in one pass.
select * from pg_temp.pass();
call pg_temp.reply(:task, 'source', 'success', '{"result_data": "of source"}');
select * from pg_temp.pass();
select * from pg_temp.context(:task);
select count(*) as messages, count(distinct q.step_name) as steps from pg_temp.queue('test_wide') q;
-- In template order.
select count(*) as out_of_order from (select q.step_name, row_number() over () as n from pg_temp.queue('test_wide') q) q where q.step_name <> 'm' || q.n;

-- All but one are done: the sink waits for that one.
select count(*) as popped from pgmq.pop('test_wide_queue', 1000) p;
select count(*) as sent
from generate_series(1, 999) i, pgmq.send('orchestration_step_results',
  jsonb_build_object('step_id', pg_temp.step(:task, 'm' || i), 'attempt', 1, 'status', 'success', 'result_data', i));
call pg_temp.passes();
select * from pg_temp.context(:task);
select * from pg_temp.readiness(:task) r where r.name in ('source', 'm999', 'm1000', 'sink');

-- The last one releases it, and it finds the results of all thousand, in template order.
call pg_temp.reply(:task, 'm1000', 'success', '{"result_data": 1000}');
select * from pg_temp.pass();
select * from pg_temp.context(:task);
select jsonb_array_length(p.message #> '{execution_context,sequence}') as parents, p.message #> '{execution_context,sequence,999,results}' as last,
  (select count(*) from jsonb_array_elements(p.message #> '{execution_context,sequence}') with ordinality e(entry, n) where e.entry -> 'results' <> to_jsonb(e.n)) as out_of_order
from pgmq.pop('test_wide_queue') p;
select count(*) as parents, bool_and(d.results = to_jsonb(d.n)) as in_order from tasker.dependency_results(pg_temp.step(:task, 'sink')) with ordinality d(parent_step_id, step_name, results, n);
select pgmq.send('orchestration_step_results', jsonb_build_object('step_id', pg_temp.step(:task, 'sink'), 'status', 'success')) > 0 as sent;
select * from pg_temp.pass();
select * from pg_temp.context(:task);
select x.to_state, count(*) from tasker.step_transitions x where x.step_id >> 16 = :task group by x.to_state order by x.to_state;

-- In a namespace with room for a hundred the same fan-out goes out by the hundred; what
-- waits is ready. Ten turns empty it, the eleventh runs the sink.
select tasker.set_namespace_limit('test_wide', 100);
select tasker.request_task('test_wide', 'wide') as task \gset
select * from pg_temp.pass();
call pg_temp.reply(:task, 'source');
select * from pg_temp.pass();
select * from pg_temp.context(:task);
select count(*) as waiting from tasker.waiting w where w.task_id = :task;
create function pg_temp.turns(most integer)
returns table (turn integer, answered bigint, settled integer, enqueued integer, finished integer)
language plpgsql
as $$
begin
  for i in 1 .. most loop
    turn := i;
    select count(*) into answered
    from pgmq.pop('test_wide_queue', 1000) p, pgmq.send('orchestration_step_results',
      jsonb_build_object('step_id', p.message -> 'step_id', 'attempt', 1, 'status', 'success'));
    select p.settled, p.enqueued, p.finished into settled, enqueued, finished from pg_temp.pass() p;
    return next;
  end loop;
end $$;
select * from pg_temp.turns(1);
select * from pg_temp.context(:task);
select * from pg_temp.turns(10);
select * from pg_temp.context(:task);
select steps as in_flight from pg_temp.in_flight('test_wide');
select * from tasker.check();
