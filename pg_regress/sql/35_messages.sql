-- What a step message says.
\getenv folder PG_ABS_SRCDIR
\set helpers :folder '/helpers.sql'
\set looking :folder '/looking.sql'
\set ECHO none
\i :helpers
\i :looking
\set ECHO all

-- The messages of a namespace's queue, in its order. What differs from run to run is masked: ids of steps show only
-- their place in the template, counted from 1, and the id of the task shows as "task".
create function pg_temp.messages(namespace text)
returns setof jsonb
language plpgsql
as $$
begin
  return query execute format($q$
    select jsonb_set(jsonb_set(jsonb_set(jsonb_set(jsonb_set(q.message,
      '{step_id}', to_jsonb((q.message ->> 'step_id')::bigint & 65535)),
      '{task_id}', case when q.message -> 'task_id' = to_jsonb((q.message ->> 'step_id')::bigint >> 16) then '"task"'::jsonb else '"wrong"' end),
      '{execution_context,task,task_id}', case when q.message #> '{execution_context,task,task_id}' = q.message -> 'task_id' then '"task"'::jsonb else '"wrong"' end),
      '{execution_context,step,step_id}', case when q.message #> '{execution_context,step,step_id}' = q.message -> 'step_id' then '"step"'::jsonb else '"wrong"' end),
      '{execution_context,sequence}', coalesce((
        select jsonb_agg(jsonb_set(e.entry, '{step_id}', to_jsonb((e.entry ->> 'step_id')::bigint & 65535)) order by e.n)
        from jsonb_array_elements(q.message #> '{execution_context,sequence}') with ordinality e(entry, n)), '[]'))
    from pgmq.%I q
    order by q.msg_id $q$, 'q_' || namespace || '_queue');
end $$;

call pg_temp.register($$
  namespace_name: test_messages
  name: order
  version: 2.1.0
  default_context: {currency: EUR}
  steps:
    - name: join
      dependencies: [two, one, void]
      timeout_seconds: 45
      handler: {callable: orders.join, method: run, resolver: python, initialization: {limit: 5, deep: {list: [1, null]}}}
      retry: {max_attempts: 5}
    - {name: one}
    - {name: two, handler: orders.two, retry: {max_attempts: 2, backoff: none, backoff_base_ms: 0}}
    - {name: void}
    - {name: alone, dependencies: [one]}
$$);
select tasker.request_task('test_messages', 'order', '{"order_id": 7, "nested": {"ä": [1.50]}}', priority => 3, tags => '{vip, new}', initiator => 'web',
  correlation_id => '01890a5d-ac96-774b-bcce-b302099a8035') as task \gset
call pg_temp.passes();

-- The message of a root: every field of the protocol, and nothing else.
select jsonb_pretty(m) from pg_temp.messages('test_messages') m where m ->> 'step_name' = 'two';

-- A second attempt says so. A failure never is tried again at once, even where the template asks for no delay.
call pg_temp.reply(:task, 'two', 'failure');
call pg_temp.passes();
select pg_temp.steps(:task) as steps;
set tasker.fake_now = '2040-01-01 00:00:01.25+00';
call pg_temp.passes();
select m -> 'attempt' as attempt, m -> 'metadata' as metadata from pg_temp.messages('test_messages') m where m ->> 'step_name' = 'two';

-- A fan-in: its parents' results stand in sequence, verbatim, in template order, whatever the order in which the step
-- names them or they ended; no results are null.
call pg_temp.reply(:task, 'two', 'success', '{"result_data": {"b": [1.10, null, "\u0041"], "a": {}}}');
call pg_temp.passes();
call pg_temp.reply(:task, 'void', 'success');
call pg_temp.passes();
call pg_temp.reply(:task, 'one', 'success', '{"result_data": "just text"}');
call pg_temp.passes();
select jsonb_pretty(m) from pg_temp.messages('test_messages') m where m ->> 'step_name' = 'join';
select m ->> 'step_name' as step, m #> '{execution_context,sequence}' as sequence from pg_temp.messages('test_messages') m;

-- They are the bytes that the parser of jsonb would have made.
select bool_and(record_image_eq(row(q.message), row(q.message::text::jsonb))) as as_parsed from pgmq.q_test_messages_queue q;

-- Messages are self-contained: what they say of ids leads to the rows.
select q.message ->> 'step_name' as step, s.msg_id = q.msg_id as is_the_steps_message, s.attempts = (q.message ->> 'attempt')::integer as is_the_attempt,
  s.step_id = pg_temp.step(:task, q.message ->> 'step_name') as is_the_step
from pgmq.q_test_messages_queue q
join tasker.steps s on s.step_id = (q.message ->> 'step_id')::bigint
order by q.msg_id;

-- Results that together are larger than tasker.max_message_bytes are left out, and the message says so; the worker reads
-- them by dependency_results, in the same order.
select tasker.request_task('test_messages', 'order', correlation_id => '01890a5d-ac96-774b-bcce-b302099a8035') as task \gset
set tasker.max_message_bytes = '1kB';
call pg_temp.passes();
call pg_temp.reply(:task, 'one', 'success', jsonb_build_object('result_data', repeat('x', 400)));
call pg_temp.reply(:task, 'two', 'success', jsonb_build_object('result_data', repeat('y', 400)));
call pg_temp.reply(:task, 'void', 'success', jsonb_build_object('result_data', repeat('z', 400)));
call pg_temp.passes();
select m ->> 'step_name' as step, m #> '{execution_context,results_omitted}' as results_omitted,
  (select jsonb_agg(case when e ? 'results' then e || jsonb_build_object('results', length(e ->> 'results')) else e end) from jsonb_array_elements(m #> '{execution_context,sequence}') e) as sequence
from pg_temp.messages('test_messages') m
where m ->> 'step_name' in ('join', 'alone') and m #>> '{step_payload,task_context,order_id}' is null
order by m -> 'step_id';
select d.parent_step_id & 65535 as place, d.step_name, left(d.results #>> '{}', 1) as letter, length(d.results #>> '{}') from tasker.dependency_results(pg_temp.step(:task, 'join')) d;
select count(*) as of_a_root from tasker.dependency_results(pg_temp.step(:task, 'one'));
reset tasker.max_message_bytes;
select tasker.dependency_results(0);
select tasker.dependency_results(null);

-- Just small enough, they are there.
select tasker.request_task('test_messages', 'order', reason => 'small') as task \gset
set tasker.max_message_bytes = '2kB';
call pg_temp.passes();
call pg_temp.reply(:task, 'one', 'success', jsonb_build_object('result_data', repeat('x', 400)));
call pg_temp.reply(:task, 'two', 'success', jsonb_build_object('result_data', repeat('y', 400)));
call pg_temp.reply(:task, 'void', 'success', jsonb_build_object('result_data', repeat('z', 400)));
call pg_temp.passes();
select m.message #> '{execution_context,results_omitted}' as results_omitted, length(m.message #>> '{execution_context,sequence,2,results}') as length
from tasker.poll_steps('test_messages', 10, step_names => '{join}') m where m.task_id = :task;
reset tasker.max_message_bytes;

-- The timeout is the step's own, or the setting's at the time.
set tasker.step_timeout = '90s';
select tasker.request_task('test_messages', 'order') as task \gset
call pg_temp.passes();
select m.message ->> 'step_name' as step, m.message #> '{metadata,timeout_seconds}' as timeout from tasker.poll_steps('test_messages', 10) m where m.task_id = :task order by m.step_id;
reset tasker.step_timeout;
select * from tasker.check();
