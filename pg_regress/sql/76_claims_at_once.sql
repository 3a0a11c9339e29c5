-- A pass that goes at once writes what the long way writes, in the same order.
\getenv folder PG_ABS_SRCDIR
\set helpers :folder '/helpers.sql'
\set ECHO none
\i :helpers
\set ECHO all

-- No timer is due.
set tasker.step_timeout = '20 d';
select tasker.create_namespace('test_at_once', max_in_flight => 12) as namespace_id \gset
call pg_temp.register('{"namespace_name": "test_at_once", "name": "one", "version": "1.0.0", "steps": [{"name": "it"}]}');
call pg_temp.register($$
  namespace_name: test_at_once
  name: chain
  version: 1.0.0
  steps: [{name: a}, {name: b, dependencies: [a]}, {name: c, dependencies: [b]}]
$$);
call pg_temp.register($$
  namespace_name: test_at_once
  name: diamond
  version: 1.0.0
  steps:
    - {name: first}
    - {name: second}
    - {name: left, dependencies: [first, second]}
    - {name: right, dependencies: [first]}
    - {name: last, dependencies: [left, right]}
$$);

call pg_temp.register($$
  namespace_name: test_at_once
  name: narrow
  version: 1.0.0
  limits: {max_in_flight: 2}
  steps: [{name: a}, {name: b, dependencies: [a]}]
$$);

-- All that a pass has to do with this namespace. Numbers that are drawn from sequences differ from one to the next.
create function pg_temp.all_of_it(namespace_id bigint)
returns setof text
language plpgsql
as $$
begin
  return query
  select concat_ws(' ', 'task', t.task_id, t.state, t.active_steps, t.error_steps, t.started_at, t.finished_at)
  from tasker.tasks t where t.namespace_id = all_of_it.namespace_id;
  return query
  select concat_ws(' ', 'step', s.step_id, s.template_step_id, s.state, s.attempts, s.max_attempts, s.remaining_parents,
    s.ordinal, s.enqueued_at, s.finished_at, s.results, s.worker_id)
  from tasker.steps s join tasker.tasks t using (task_id) where t.namespace_id = all_of_it.namespace_id;
  return query
  select concat_ws(' ', 'task went', h.task_id, h.from_state, h.to_state, h.created_at, h.actor, h.metadata)
  from tasker.task_transitions h join tasker.tasks t using (task_id) where t.namespace_id = all_of_it.namespace_id;
  return query
  select concat_ws(' ', 'step went', h.step_id, h.from_state, h.to_state, h.attempt, h.created_at, h.actor, h.metadata)
  from tasker.step_transitions h join tasker.tasks t on t.task_id = h.step_id >> 16
  where t.namespace_id = all_of_it.namespace_id;
  return query
  select concat_ws(' ', 'waits', w.task_id, w.step_id, w.since, w.priority, w.template_id)
  from tasker.waiting w where w.namespace_id = all_of_it.namespace_id;
  return query
  select concat_ws(' ', 'in flight', d.template_id, sum(d.delta))
  from tasker.in_flight_deltas d where d.namespace_id = all_of_it.namespace_id
  group by d.template_id having sum(d.delta) <> 0;
  return query
  select concat_ws(' ', 'timer', i.kind, i.fire_at, s.step_id, s.attempt)
  from tasker.timers i
  cross join lateral unnest(i.step_ids, i.attempts) s(step_id, attempt)
  join tasker.tasks t on t.task_id = s.step_id >> 16
  where t.namespace_id = all_of_it.namespace_id;
  return query
  select concat_ws(' ', 'message', row_number() over (order by q.msg_id), q.message) from pgmq.q_test_at_once_queue q;
  return query
  select concat_ws(' ', 'result', r.message) from pgmq.q_orchestration_step_results r;
end $$;

-- Runs a pass and undoes it: what it did, and what is there then. NULL where it does not go at once.
create function pg_temp.after(at_once boolean, batch integer, namespace_id bigint)
returns text[]
language plpgsql
as $$
declare
  done record;
  what text[];
begin
  if at_once then
    select p.* into done from tasker._pass_at_once(batch, tasker.clock()) p;
  else
    select p.* into done from tasker._orchestrate(batch, tried => true) p;
  end if;
  if done.enqueued is not null then
    what := array(select l from pg_temp.all_of_it(namespace_id) l order by l collate "C")
      || format('settled %s, started %s, enqueued %s, finished %s', done.settled, done.started, done.enqueued, done.finished);
  end if;
  raise exception using errcode = 'UNDO1';
exception when sqlstate 'UNDO1' then
  return what;
end $$;

-- Requests and results by chance; then the same pass in both ways, and one that stays.
create table pg_temp.rounds (number integer, batch integer, enqueued integer, started integer, went boolean, difference text[]);
create procedure pg_temp.play(namespace_id bigint, rounds integer)
language plpgsql
as $$
declare
  message  jsonb;
  batch    integer;
  short    text[];
  long     text[];
  done     record;
begin
  perform setseed(0.76);
  for number in 1 .. rounds loop
    for i in 1 .. (random() * 6)::integer loop
      perform tasker.request_task('test_at_once', (array['one', 'chain', 'diamond', 'narrow'])[1 + floor(random() * 4)::integer],
        priority => floor(random() * 5)::integer,
        run_at => case when random() < 0.2 then tasker.clock() - random() * interval '5 minutes' end);
      call pg_temp.later(random() * interval '40 seconds');
    end loop;
    for i in 1 .. (random() * 8)::integer loop
      select q.message into message from pgmq.pop('test_at_once_queue', 1) q;
      if message is not null then
        call pg_temp.send_result(jsonb_build_object('step_id', message -> 'step_id', 'attempt', message -> 'attempt',
          'status', case when random() < 0.05 then 'failure' else 'success' end,
          'result_data', jsonb_build_object('of', message -> 'step_name')));
      end if;
    end loop;
    batch := (array[3, 5, 100])[1 + floor(random() * 3)::integer];
    short := pg_temp.after(true, batch, namespace_id);
    long := pg_temp.after(false, batch, namespace_id);
    select p.* into done from tasker.orchestrate(batch) p;
    insert into pg_temp.rounds values (number, batch, done.enqueued, done.started, short is not null, array(
      (select '- ' || l from unnest(long) l except all select '- ' || l from unnest(short) l)
      union all
      (select '+ ' || l from unnest(short) l except all select '+ ' || l from unnest(long) l)));
  end loop;
end $$;
call pg_temp.play(:namespace_id, 150);
select r.number, r.batch, r.difference from pg_temp.rounds r where r.went and r.difference <> '{}' order by r.number limit 3;
select count(*) filter (where r.went) > 40 as many_went, count(*) filter (where r.went and r.started > 0) > 20 as many_started,
  count(*) filter (where r.went and r.enqueued > r.started) > 20 as many_went_on
from pg_temp.rounds r;

call pg_temp.quiet();
select tasker.drop_namespace('test_at_once', force => true);
select * from tasker.check();
