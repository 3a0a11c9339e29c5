-- The input_schema of a template is enforced when a task is requested.
\getenv folder PG_ABS_SRCDIR
\set helpers :folder '/helpers.sql'
\set ECHO none
\i :helpers
\set ECHO all

call pg_temp.register($$
  namespace_name: test_input_schema
  name: order
  version: 1.0.0
  default_context: {currency: EUR}
  input_schema:
    type: object
    required: [order_id, items]
    properties:
      order_id: {type: string, pattern: "^[A-Z]-[0-9]+$"}
      currency: {enum: [EUR, USD]}
      email: {type: string, format: email}
      items:
        type: array
        minItems: 1
        items: {$ref: "#/$defs/item"}
    $defs:
      item:
        type: object
        required: [sku]
        properties: {sku: {type: string}, quantity: {type: integer, minimum: 1}}
        additionalProperties: false
  steps: [{name: a}]
$$);

-- A context that fits.
select tasker.request_task('test_input_schema', 'order', '{"order_id": "A-1", "items": [{"sku": "x", "quantity": 2}], "whatever": null}') > 0 as requested;

-- One that does not is refused, with the path of everything that is wrong with it, and nothing is left of it.
select count(*) as tasks from tasker.tasks \gset
select tasker.request_task('test_input_schema', 'order', '{}');
select tasker.request_task('test_input_schema', 'order', '{"order_id": "1", "items": [], "currency": "DM"}');
select tasker.request_task('test_input_schema', 'order', '{"order_id": "A-1", "items": [{"sku": "x"}, {"sku": 5, "quantity": 0, "size": 1}, {}]}');
select tasker.request_task('test_input_schema', 'order', '{"order_id": "A-1", "items": [{"sku": "x"}], "email": "nobody"}');

-- Of many contexts in one call the first bad one is named, and none is taken.
select * from tasker.request_tasks('test_input_schema', 'order', array['{"order_id": "A-1", "items": [{"sku": "x"}]}', '{"order_id": 2, "items": [{"sku": "x"}]}', '{}']::jsonb[]);
select count(*) = :tasks as nothing_left from tasker.tasks;

-- The default_context counts: what it gives need not be in the request, and what the request gives goes over it.
call pg_temp.register($$
  namespace_name: test_input_schema
  name: defaults
  version: 1.0.0
  default_context: {region: eu, nested: {a: 1}}
  input_schema: {required: [region], properties: {region: {enum: [eu, us]}, nested: {required: [a]}}}
  steps: [{name: a}]
$$);
select tasker.request_task('test_input_schema', 'defaults') > 0 as requested;
select tasker.request_task('test_input_schema', 'defaults', '{"region": "us"}') > 0 as requested;
select tasker.request_task('test_input_schema', 'defaults', '{"region": "mars"}');
select tasker.request_task('test_input_schema', 'defaults', '{"nested": {}}');

-- Two versions have each their own schema, also within one session.
call pg_temp.register('{"namespace_name": "test_input_schema", "name": "defaults", "version": "2.0.0", "input_schema": {"required": ["n"], "properties": {"n": {"type": "integer"}}}, "steps": [{"name": "a"}]}');
select tasker.request_task('test_input_schema', 'defaults', '{"n": 1}') > 0 as requested;
select tasker.request_task('test_input_schema', 'defaults', '{"region": "mars"}');
select tasker.request_task('test_input_schema', 'defaults', '{"region": "mars"}', version => '1.0.0');

-- The same by the request queue: a row in rejected_messages, with the same reason.
select pgmq.send('orchestration_task_requests', '{"namespace": "test_input_schema", "name": "defaults", "context": {"n": "one"}}') as bad \gset
select pgmq.send('orchestration_task_requests', '{"namespace": "test_input_schema", "name": "defaults", "context": {"n": 1}}') as good \gset
select accepted, rejected from pg_temp.pass();
select r.message, r.reason from tasker.rejected_messages r where r.queue_name = 'orchestration_task_requests' and r.msg_id = :bad;

-- A pattern that would search for ever is stopped, and counts as no match.
call pg_temp.register($$
  namespace_name: test_input_schema
  name: pattern
  version: 1.0.0
  input_schema: {properties: {a: {pattern: '^(?=(a+)+$)(a|a)*\1b$'}}}
  steps: [{name: a}]
$$);
set statement_timeout = '10s';
\set VERBOSITY sqlstate
select tasker.request_task('test_input_schema', 'pattern', jsonb_build_object('a', repeat('a', 5000)));
\set VERBOSITY default
reset statement_timeout;

-- Contexts may be large and hold what jsonb holds: numbers of any precision are kept as they are.
select tasker.request_task('test_input_schema', 'defaults', '{"n": 7, "exact": 1.00000000000000000000000000000000001}') as task \gset
select t.context from tasker.tasks t where t.task_id = :task;

select * from tasker.check();
