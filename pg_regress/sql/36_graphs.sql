-- Graphs of templates and tasks as text, and why a task is not running.
\getenv folder PG_ABS_SRCDIR
\set helpers :folder '/helpers.sql'
\set looking :folder '/looking.sql'
\set ECHO none
\i :helpers
\i :looking
\set ECHO all

create function pg_temp.masked(text)
returns text
language sql
as $$ select regexp_replace(regexp_replace($1, '\mtask \d+', 'task N', 'g'), ' \(\d{5,}\)', ' (N)', 'g') $$;
create procedure pg_temp.send(task bigint, step_name text, rest jsonb)
language sql
as $$ call pg_temp.reply(task, step_name, 'failure', rest) $$;
\set explain 'select pg_temp.masked(e.subject) as subject, pg_temp.masked(e.fact) as fact, e.advice from tasker.explain_task(:task) e where e.subject !~ \'^engine\';'

call pg_temp.register($$
  namespace_name: test_graphs
  name: order-flow
  version: 1.0.0
  steps:
    - {name: validate}
    - {name: pay, dependencies: [validate], retry: {max_attempts: 3, backoff: none, backoff_base_ms: 60000, max_backoff_ms: 60000}}
    - {name: reserve, dependencies: [validate], skippable: true}
    - {name: ship.it, dependencies: [pay, reserve]}
    - {name: mail, dependencies: [ship.it], retry: {retryable: false}}
    - {name: log}
$$);

-- A template as Mermaid and as Graphviz text: every step, every dependency, no states.
select tasker.template_graph('test_graphs', 'order-flow');
select tasker.template_graph('test_graphs', 'order-flow', '1.0.0', 'mermaid') = tasker.template_graph('test_graphs', 'order-flow') as is_default;
select tasker.template_graph(namespace => 'test_graphs', name => 'order-flow', format => 'dot');
select tasker.template_graph('test_graphs', 'order-flow', format => 'png');
select tasker.template_graph('test_graphs', 'order-flow', format => null) = tasker.template_graph('test_graphs', 'order-flow') as null_is_default;
select tasker.template_graph('test_graphs', 'nope');
select tasker.template_graph('test_graphs', 'order-flow', '7.0.0');
call pg_temp.register('{"namespace_name": "test_graphs", "name": "single", "steps": [{"name": "only"}]}');
select tasker.template_graph('test_graphs', 'single');

-- explain_task, from a task's request to its end. Nobody has started it: the engine is switched off here, and says so.
select tasker.request_task('test_graphs', 'order-flow') as task \gset
select e.subject = 'engine in ' || current_database() as names_the_database, e.fact, e.advice from tasker.explain_task(:task) e where e.subject ~ '^engine';
:explain
-- A task that has not started shows the graph that it will have.
select pg_temp.masked(tasker.task_graph(:task));

-- The namespace is paused, or full.
select tasker.pause_namespace('test_graphs');
:explain
select tasker.resume_namespace('test_graphs');
select tasker.request_task('test_graphs', 'single', priority => 4) as urgent \gset
select tasker.set_namespace_limit('test_graphs', 1);
set tasker.fake_now = '2040-01-01 00:04:00+00';
call pg_temp.passes();
:explain
select tasker.set_namespace_limit('test_graphs', null);
select tasker.cancel_task(:urgent);

-- In the queue, and nobody has read it; read, and neither deleted nor reported; taken.
call pg_temp.passes();
:explain
select count(*) as read from pgmq.read('test_graphs_queue', 3600, 1, jsonb_build_object('step_id', pg_temp.step(:task, 'log')));
:explain
call pg_temp.take('test_graphs');
call pg_temp.reply(:task, 'log');
select count(*) as taken from pgmq.q_test_graphs_queue;
:explain
-- It has been reported, and a pass has not come by yet; then it has.
call pg_temp.reply(:task, 'validate');
call pg_temp.passes();
-- With a worker that has a name; reported by the function, not settled yet.
select step_names.message ->> 'step_name' as step from tasker.poll_steps('test_graphs', worker_id => 'seven', lease => '10 minutes', step_names => '{reserve}') step_names;
:explain
select tasker.complete_step(pg_temp.step(:task, 'reserve'), 1);
:explain

-- Waiting for a retry, by the policy and as the other side asked.
call pg_temp.reply(:task, 'pay', 'failure', '{"error": {"message": "card reader on fire", "error_type": "Fire"}, "orchestration_metadata": {"headers": {"retry-after": "7200"}}}');
call pg_temp.passes();
:explain
select pg_temp.masked(tasker.task_graph(:task));
select pg_temp.masked(tasker.task_graph(:task, 'dot'));
call pg_temp.later('2 hours');
call pg_temp.passes();
call pg_temp.reply(:task, 'pay', 'failure', '{"error": {"message": "no card", "retryable": false}}');

-- In error: what lies behind it is blocked, and the task has ended.
call pg_temp.passes();
:explain
select pg_temp.masked(tasker.task_graph(:task));

-- Delayed; cancelled before it started; complete.
select tasker.request_task('test_graphs', 'single', run_at => tasker.clock() + '1 day') as task \gset
:explain
select tasker.cancel_task(:task);
:explain
select tasker.request_task('test_graphs', 'single') as task \gset
call pg_temp.passes();
call pg_temp.reply(:task, 'only');
call pg_temp.passes();
:explain

-- A template with fail_fast: when one step has failed, the rest is cancelled.
call pg_temp.register('{"namespace_name": "test_graphs", "name": "fast", "on_failure": "fail_fast", "steps": [{"name": "a", "retry": {"retryable": false}}, {"name": "b"}, {"name": "c", "depends_on": "b"}]}');
select tasker.request_task('test_graphs', 'fast') as task \gset
call pg_temp.passes();
select count(*) as polled from tasker.poll_steps('test_graphs', step_names => '{b}', worker_id => 'w');
call pg_temp.reply(:task, 'a', 'failure');
call pg_temp.passes();
:explain
select pg_temp.masked(tasker.task_graph(:task));

select * from tasker.explain_task(0);
select * from tasker.explain_task(null);
select tasker.task_graph(0);
select tasker.task_graph(null);
select tasker.task_graph(:task, 'png');
select * from tasker.check();
