-- A database in which every phase of a pass has work of every kind waiting for it, at the time of play.moment().
-- Tasks are known by their first tag.

create extension tasker_pg cascade;
create schema play;
set tasker.fake_now = '2040-01-01 00:00:00+00';
select setval(pg_get_serial_sequence('tasker.tasks', 'task_id'), 1000000); -- ids that can be told from other numbers

create function play.moment() returns text
return '2040-01-01 00:02:10+00';

create function play.task(tag text) returns bigint
language sql stable
return (select t.task_id from tasker.tasks t where t.tags[1] = task.tag);

create function play.step(tag text, step_name text) returns bigint
language sql stable
return (
  select (t.task_id << 16) + 1 + ts.step_index
  from tasker.tasks t
  join tasker.template_steps ts on ts.template_id = t.template_id
  where t.tags[1] = step.tag and ts.name = step.step_name);

create function play.attempt(tag text, step_name text) returns integer
language sql stable
return (select s.attempts from tasker.steps s where s.step_id = play.step(attempt.tag, attempt.step_name));

create function play.messages(queue_name text) returns setof jsonb
language plpgsql stable
as $$
begin
  return query execute format('select q.message from pgmq.%I q', 'q_' || messages.queue_name);
end $$;

-- A result for the attempt in flight.
create function play.result(tag text, step_name text, status text default 'success', rest jsonb default '{}') returns jsonb
language sql stable
return jsonb_build_object('step_id', play.step(result.tag, result.step_name),
  'attempt', play.attempt(result.tag, result.step_name), 'status', result.status,
  'result_data', jsonb_build_object('of', result.tag || '/' || result.step_name)) || result.rest;

-- A plain worker takes a message off its queue and sends its result.
create procedure play.reply(tag text, step_name text, status text default 'success', rest jsonb default '{}')
language sql as $$
  select pgmq.delete(n.name || '_queue', s.msg_id)
  from tasker.steps s
  join tasker.tasks t using (task_id)
  join tasker.namespaces n using (namespace_id)
  where s.step_id = play.step(reply.tag, reply.step_name);
  select pgmq.send('orchestration_step_results', play.result(reply.tag, reply.step_name, reply.status, reply.rest))
$$;

create procedure play.take(tag text, step_name text)
language sql as $$
  select pgmq.delete(n.name || '_queue', s.msg_id)
  from tasker.steps s
  join tasker.tasks t using (task_id)
  join tasker.namespaces n using (namespace_id)
  where s.step_id = play.step(take.tag, take.step_name)
$$;

create procedure play.request(namespace text, name text, tag text, rest jsonb default '{}')
language sql as $$
  select pgmq.send('orchestration_task_requests',
    jsonb_build_object('namespace', request.namespace, 'name', request.name, 'context', '{}'::jsonb, 'tags', array[request.tag]) || request.rest)
$$;

select tasker.create_namespace('shop', max_in_flight => null);
select tasker.create_namespace('tight', max_in_flight => 2);
select tasker.register_template(t) from (values
  ('{"namespace_name": "shop", "name": "chain", "version": "1.0.0", "steps": [
     {"name": "a", "timeout_seconds": 60}, {"name": "b", "dependencies": ["a"], "skippable": true}]}'::jsonb),
  ('{"namespace_name": "shop", "name": "leased", "version": "1.0.0", "steps": [{"name": "a"}, {"name": "b", "dependencies": ["a"]}]}'),
  ('{"namespace_name": "shop", "name": "work", "version": "1.0.0", "steps": [{"name": "a"}, {"name": "b", "dependencies": ["a"]}]}'),
  ('{"namespace_name": "shop", "name": "diamond", "version": "1.0.0", "steps": [
     {"name": "a"}, {"name": "b", "dependencies": ["a"]}, {"name": "c", "dependencies": ["a"]},
     {"name": "d", "dependencies": ["b", "c"]}]}'),
  ('{"namespace_name": "shop", "name": "fast", "version": "1.0.0", "on_failure": "fail_fast", "steps": [
     {"name": "a", "retry": {"max_attempts": 1}}, {"name": "b"}, {"name": "c", "dependencies": ["a"]}]}'),
  ('{"namespace_name": "shop", "name": "brief", "version": "1.0.0", "lifecycle": {"max_duration_minutes": 2}, "steps": [
     {"name": "a"}, {"name": "b", "dependencies": ["a"]}]}'),
  ('{"namespace_name": "shop", "name": "strict", "version": "1.0.0", "identity_strategy": "strict", "steps": [{"name": "a"}]}'),
  ('{"namespace_name": "shop", "name": "told", "version": "1.0.0", "steps": [{"name": "a"}, {"name": "b", "dependencies": ["a"]}],
     "events": {"task": ["completed", "failed", "cancelled"], "step": ["completed", "failed"]}}'),
  ('{"namespace_name": "tight", "name": "narrow", "version": "1.0.0", "limits": {"max_in_flight": 1}, "steps": [{"name": "a"}]}'),
  ('{"namespace_name": "tight", "name": "one", "version": "1.0.0", "steps": [{"name": "a"}]}')) t(t);

select tasker.request_task('shop', r.name, tags => array[r.tag])
from (values ('chain', 'succeeds'), ('chain', 'fails'), ('chain', 'vanished'), ('chain', 'absent'), ('chain', 'retried'),
  ('chain', 'cancelled'), ('chain', 'broken'), ('chain', 'last'), ('chain', 'late'), ('leased', 'lost'), ('leased', 'beats'),
  ('work', 'reports'), ('work', 'fails_too'), ('work', 'held'), ('work', 'delivered'), ('work', 'delivered_failure'),
  ('diamond', 'forks'), ('diamond', 'joins'), ('diamond', 'joins_both'), ('fast', 'stops'), ('fast', 'stopped'),
  ('brief', 'ends'), ('told', 'told_step'), ('told', 'told_task'), ('told', 'told_failure')) r(name, tag);
select tasker.request_task('shop', 'strict', context => '{"same": true}', tags => array['strict']);
select tasker.request_task('shop', 'chain', idempotency_key => 'known', tags => array['keyed']);
select tasker.request_task('shop', 'chain', run_at => '2040-01-01 00:02:00+00', tags => array['starts']);
select tasker.request_task('tight', 'narrow', tags => array['narrow_' || n]) from generate_series(1, 2) n;
select tasker.request_task('tight', 'one', tags => array['tight_' || n], priority => n) from generate_series(0, 3) n;
select tasker.run_until_idle();

call play.reply('last', 'a');
call play.reply('joins', 'a');
call play.reply('joins_both', 'a');
call play.reply('told_task', 'a');
call play.reply('broken', 'a', 'failure', '{"error": {"message": "for good", "retryable": false}}');
call play.reply('stopped', 'a', 'failure', '{"error": {"message": "for good", "retryable": false}}');
call play.take('absent', 'a');
select tasker.run_until_idle();

-- A minute later. What fires now fires no more at play.moment().
set tasker.fake_now = '2040-01-01 00:01:01+00';
call play.reply('joins', 'b');
call play.reply('retried', 'a', 'failure');
call play.take('vanished', 'a');
select tasker.run_until_idle();
select count(*) from tasker.poll_steps('shop', 10, '30 s', task_names => '{leased}');
select tasker.extend_step(play.step('beats', 'a'), 1, '1 hour');
select count(*) from tasker.poll_steps('shop', 10, '1 hour', task_names => '{work}');
select tasker.complete_step(play.step('reports', 'a'), 1, '{"of": "reports/a"}');
select tasker.fail_step(play.step('fails_too', 'a'), 1, '{"message": "no"}');
select tasker.claim_ready_tasks('outside', 1, 'tight');
insert into tasker.timers (fire_at, kind, task_id) values ('2040-01-01 00:02:00+00', 'finish', play.task('broken'));

-- What waits in the queues.
call play.reply('succeeds', 'a');
select pgmq.send('orchestration_step_results', play.result('succeeds', 'a'));
call play.reply('fails', 'a', 'failure', '{"error": {"message": "not yet"}}');
call play.reply('last', 'b');
call play.reply('late', 'a', rest => '{"attempt": 99}');
call play.reply('forks', 'a');
call play.reply('joins', 'c');
call play.reply('joins_both', 'b');
call play.reply('joins_both', 'c');
call play.reply('stops', 'a', 'failure', '{"error": {"message": "for good", "retryable": false}}');
call play.reply('stopped', 'b');
call play.reply('told_step', 'a');
call play.reply('told_task', 'b');
call play.reply('told_failure', 'a', 'failure', '{"error": {"message": "for good", "retryable": false}}');
call play.reply('tight_3', 'a');
select pgmq.send('orchestration_step_results', m::jsonb)
from (values ('[]'), ('{"status": "success"}'), ('{"step_id": 77, "status": "success"}'), ('{"step_id": "x", "status": 3}'), ('null')) m(m);
call play.request('shop', 'chain', 'asked');
call play.request('shop', 'chain', 'asked_later', '{"run_at": "2040-01-02 00:00:00+00"}');
call play.request('shop', 'chain', 'asked_bypassing', '{"bypass_steps": ["b"]}');
call play.request('shop', 'told', 'asked_told');
call play.request('tight', 'one', 'asked_tight', '{"priority": 4}');
call play.request('shop', 'strict', 'never', '{"context": {"same": true}}');
call play.request('shop', 'chain', 'never', '{"idempotency_key": "known"}');
call play.request('shop', 'nope', 'never');
call play.request('nope', 'chain', 'never');
call play.request('shop', 'chain', 'never', '{"context": []}');
call play.request('shop', 'chain', 'never', '{"priority": "high"}');
select pgmq.send('orchestration_task_requests', '3');
select pgmq.send('shop_queue', '{"nonsense": true}');

-- What a worker has to report.
create function play.results() returns jsonb[]
language sql stable
return array[play.result('held', 'a'), play.result('delivered', 'a'), play.result('delivered_failure', 'a', 'failure'),
  play.result('delivered', 'a'), play.result('late', 'a', rest => '{"attempt": 99}')];
