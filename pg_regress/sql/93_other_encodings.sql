-- A database need not be in UTF8: a text is taken and given back in the encoding that it has.
set client_min_messages = warning;
create database tasker_latin1 encoding 'LATIN1' locale 'C' template template0;
\c tasker_latin1
set client_encoding = 'UTF8';
set client_min_messages = warning;
\set VERBOSITY terse
create extension tasker_pg cascade;
show server_encoding;

select tasker.register_template($$
  namespace_name: office
  name: letter
  version: 1.0.0
  description: für alle
  input_schema: {type: object, properties: {Größe: {type: string}}}
  steps: [{name: write}, {name: send, dependencies: [write]}]
$$) > 0 as registered;
select path, message from tasker.validate_template($$
  namespace_name: büro
  name: letter
  version: 1.0.0
  steps: [{name: a}]
$$);
select template_graph like '%write%' as drawn from tasker.template_graph('office', 'letter');
select tasker.request_task('office', 'letter', '{"Größe": 7}');
select tasker.request_task('office', 'letter', '{"Größe": "für"}', initiator => 'Müller', reason => 'Übung', tags => '{größer}',
  idempotency_key => 'schön') > 0 as requested;
select accepted, started, enqueued from tasker.orchestrate();

-- Who takes a step, and which.
select count(*) from tasker.poll_steps('office', worker_id => 'Jürgen', step_names => '{größer}');
select p.step_id as step, p.attempt, p.message #>> '{step_payload,task_context,Größe}' as context
from tasker.poll_steps('office', worker_id => 'Jürgen', task_names => '{letter,größer}') p \gset
\echo :context
select s.worker_id, t.metadata from tasker.steps s join tasker.step_transitions t using (step_id) where t.to_state = 'in_progress';

-- What it says.
select outcome from tasker.complete_steps(array[jsonb_build_object('step_id', :step, 'attempt', :attempt, 'status', 'success',
  'result_data', '{"schön": "ü"}'::jsonb, 'orchestration_metadata', '{"note": "geändert"}'::jsonb)], advance => true);
select s.results, t.metadata from tasker.steps s join tasker.step_transitions t using (step_id) where t.to_state = 'complete';
select e.step_id as step, e.attempt, substring(e.message::text from 'schön[^}]*') as parent
from tasker.exchange_steps('office', worker_id => 'Jürgen') e \gset
\echo :parent
select tasker.fail_step(:step, :attempt, '{"message": "zu groß", "retryable": false}');
select settled, finished from tasker.orchestrate();
select s.state, s.last_error ->> 'message' as message from tasker.steps s where s.step_id = :step;

-- A request by the queue.
select pgmq.send('orchestration_task_requests', '{"namespace": "office", "name": "letter", "context": {"Größe": "für"}, "initiator": "Jörg"}') > 0 as sent;
select accepted, rejected from tasker.orchestrate();
select initiator, context from tasker.tasks order by task_id;

-- What there is not.
select * from tasker.poll_steps('büro');
select * from tasker.exchange_steps('büro');
select tasker.request_task('büro', 'brief');
select tasker.request_task('office', 'brüf');
select * from tasker.check();

\c contrib_regression
drop database tasker_latin1 with (force);
