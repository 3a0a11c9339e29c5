-- Steps and their history are written past the executor, unless somebody has put a trigger on them: then the executor writes
-- them, and the trigger sees every row.
\getenv folder PG_ABS_SRCDIR
\set helpers :folder '/helpers.sql'
\set ECHO none
\i :helpers
\set ECHO all

call pg_temp.register($$
  namespace_name: test_audit
  name: pair
  version: 1.0.0
  steps: [{name: a}, {name: b, dependencies: [a]}]
$$);
create function pg_temp.run() returns bigint language plpgsql as $$
declare
  task bigint := tasker.request_task('test_audit', 'pair');
begin
  perform tasker.orchestrate();
  perform tasker.complete_steps(array(
      select jsonb_build_object('step_id', p.step_id, 'attempt', p.attempt, 'status', 'success', 'execution_time_ms', 7)
      from tasker.poll_steps('test_audit', 100, worker_id => 'w1') p
      where p.task_id = task));
  perform tasker.orchestrate();
  return task;
end $$;
create view pg_temp.history as
select t.step_id >> 16 as task_id, (t.step_id & 65535) - 1 as step, t.attempt, t.from_state, t.to_state, t.actor = session_user as mine,
  t.metadata, t.execution_time_ms, t.step_transition_id
from tasker.step_transitions t;

select pg_temp.run() as plain \gset
select step, attempt, from_state, to_state, mine, metadata, execution_time_ms
from pg_temp.history where task_id = :plain order by step_transition_id;

-- The index knows of them.
set enable_seqscan = off;
set enable_bitmapscan = off;
select count(*) from tasker.step_transitions t where t.step_id = (:plain::bigint << 16) + 1;
reset enable_seqscan;
reset enable_bitmapscan;

-- With a trigger.
create temp table seen (step_transition_id bigint);
create function pg_temp.see() returns trigger language plpgsql as $$
begin
  insert into seen values (new.step_transition_id);
  return new;
end $$;
create trigger seen after insert on tasker.step_transitions for each row execute function pg_temp.see();
grant insert on seen to tasker_owner;
select pg_temp.run() as watched \gset
drop trigger seen on tasker.step_transitions;
select h.step, h.attempt, h.from_state, h.to_state, h.mine, h.metadata, h.execution_time_ms
from pg_temp.history h join seen s using (step_transition_id)
order by step_transition_id;

create temp table changes (n bigint generated always as identity, step_id bigint, old_state text, new_state text);
create function pg_temp.see_change() returns trigger language plpgsql as $$
begin
  insert into changes (step_id, old_state, new_state) values (new.step_id, old.state, new.state);
  return new;
end $$;
create trigger seen after update on tasker.steps for each row execute function pg_temp.see_change();
grant insert on changes to tasker_owner;
select pg_temp.run() as changed \gset
drop trigger seen on tasker.steps;
select (c.step_id & 65535) - 1 as step, c.old_state, c.new_state from changes c order by c.n;

create temp table others (of_table text);
create function pg_temp.see_other() returns trigger language plpgsql as $$
begin
  insert into others values (tg_table_name);
  return new;
end $$;
grant insert on others to tasker_owner;
select format('create trigger seen after insert on tasker.%I for each row execute function pg_temp.see_other()', t)
from unnest('{tasks,task_transitions,waiting,timers,in_flight_deltas}'::text[]) t \gexec
select pg_temp.run() as noted \gset
select format('drop trigger seen on tasker.%I', t)
from unnest('{tasks,task_transitions,waiting,timers,in_flight_deltas}'::text[]) t \gexec
select o.of_table, count(*) from others o group by o.of_table order by o.of_table;
select count(*) as tasks, count(distinct to_jsonb(t) - '{task_id,created_at,started_at,correlation_id}'::text[]) as kinds
from tasker.tasks t where t.task_id in (:plain, :noted);
select count(*) as transitions, count(distinct to_jsonb(t) - '{task_transition_id,task_id,created_at}'::text[]) as kinds
from tasker.task_transitions t where t.task_id in (:plain, :noted);
select count(*) as timers, count(distinct to_jsonb(t) - '{timer_id,fire_at,step_ids}'::text[]) as kinds
from tasker.timers t where t.step_ids[1] >> 16 in (:plain, :noted);

-- Requests as well, made one by one or together, at once or for later.
create function pg_temp.ask(who text) returns void language plpgsql as $$
begin
  perform tasker.request_task('test_audit', 'pair', '{"n": 1}', idempotency_key => who || 1, initiator => who, tags => '{x}');
  perform tasker.request_task('test_audit', 'pair', '{"n": 2}', run_at => tasker.clock() + interval '1 day', initiator => who, priority => 4, claim_timeout_seconds => 7);
  perform tasker.request_tasks('test_audit', 'pair', '{"{\"n\": 3}","{\"n\": 4}"}'::jsonb[], idempotency_keys => array[who || 3, who || 4],
    initiator => who, reason => 'test');
  perform tasker.request_tasks('test_audit', 'pair', '{"{\"n\": 5}"}'::jsonb[], run_at => tasker.clock() + interval '1 day', initiator => who);
end $$;
select pg_temp.ask('past it');
create trigger seen after insert on tasker.waiting for each row execute function pg_temp.see_other();
select pg_temp.ask('by it');
drop trigger seen on tasker.waiting;
select count(*) as tasks, count(distinct to_jsonb(t) - '{task_id,created_at,correlation_id,initiator,identity_key}'::text[]) as kinds,
  count(distinct t.correlation_id) as correlations, array_agg(distinct t.identity_key) as keys
from tasker.tasks t where t.initiator in ('past it', 'by it');
select t.initiator, w.priority, w.since = t.created_at as since_then, count(*)
from tasker.waiting w join tasker.tasks t using (task_id) where t.initiator in ('past it', 'by it') group by 1, 2, 3 order by 1, 2;
select t.initiator, i.kind, i.fire_at - t.created_at as after, count(*)
from tasker.timers i join tasker.tasks t using (task_id) where t.initiator in ('past it', 'by it') group by 1, 2, 3 order by 1;
select t.initiator, h.from_state, h.to_state, h.actor = session_user as mine, count(*)
from tasker.task_transitions h join tasker.tasks t using (task_id) where t.initiator in ('past it', 'by it') group by 1, 2, 3, 4 order by 1;
select count(tasker.cancel_task(t.task_id)) from tasker.tasks t where t.initiator in ('past it', 'by it');

-- Whoever writes them, rows are the same: those of a, in all three tasks.
select count(*) as steps,
  count(distinct to_jsonb(s) - '{step_id,task_id,msg_id,enqueued_at,started_at,reported_at,finished_at}'::text[]
    || jsonb_build_object('times', array[s.enqueued_at is null, s.started_at is null, s.reported_at is null, s.finished_at is null])) as kinds
from tasker.steps s
where s.task_id in (:plain, :watched, :changed) and (s.step_id & 65535) = 1;

select tasker.request_task('test_audit', 'pair') as pending \gset
select enqueued from tasker.orchestrate();

-- More than are written at a time, in one call.
select count(*) from tasker.task_transitions \gset
select tasker._write_task_transitions(array(select :plain::bigint from generate_series(1, 1201)), tasker.clock(),
  array(select 'in_progress'::text from generate_series(1, 1201)), array(select n::text from generate_series(1, 1201) n));
select count(*) - :count as written, count(distinct task_transition_id) = count(*) as numbered,
  max(to_state::integer) filter (where to_state ~ '^[0-9]') as last from tasker.task_transitions;

-- What a row must have is asked for.
\set VERBOSITY terse
select tasker._write_task_transitions(array[1::bigint], tasker.clock(), array['a'], array[null]::text[]);
select tasker._write_remaining_parents(array[(:pending::bigint << 16) + 2], array[-1]);
\set VERBOSITY default
-- Also what somebody else asks for, as long as he does.
select tasker._write_remaining_parents(array[(:pending::bigint << 16) + 2], array[9]);
alter table tasker.steps add constraint steps_of_few_parents check (remaining_parents < 9) not valid;
\set VERBOSITY terse
select tasker._write_remaining_parents(array[(:pending::bigint << 16) + 2], array[9]);
\set VERBOSITY default
select tasker._write_remaining_parents(array[(:pending::bigint << 16) + 2], array[8]);
alter table tasker.steps drop constraint steps_of_few_parents;
select tasker._write_remaining_parents(array[(:pending::bigint << 16) + 2], array[1]);
-- Steps with the same time to go share a timer.
call pg_temp.register($$
  namespace_name: test_audit
  name: times
  version: 1.0.0
  steps: [{name: a, timeout_seconds: 5}, {name: b, timeout_seconds: 7}, {name: c, timeout_seconds: 5}]
$$);
select tasker.request_task('test_audit', 'times') as timed \gset
select enqueued from tasker.orchestrate();
select t.fire_at - s.enqueued_at as after, t.kind, array(select i & 65535 from unnest(t.step_ids) i) as steps, t.attempts
from tasker.timers t join tasker.steps s on s.step_id = t.step_ids[1]
where s.task_id = :timed
order by 1;
-- A step that is not there is passed over, and of several updates of one the first is made.
begin;
select tasker._write_remaining_parents(array[-1, (:pending::bigint << 16) + 2, (:pending::bigint << 16) + 2], array[1, 2, 3]);
select remaining_parents from tasker.steps where step_id = (:pending::bigint << 16) + 2;
rollback;

-- Rows that have moved since this session has seen them are found, whatever is in their places.
delete from tasker.steps where task_id = :plain;
delete from tasker.step_transitions where step_id >> 16 = :plain;
delete from tasker.task_transitions where task_id = :plain;
delete from tasker.in_flight_deltas d where d.namespace_id = (select n.namespace_id from tasker.namespaces n where n.name = 'test_audit');
insert into tasker.in_flight_deltas (namespace_id, template_id, delta)
select t.namespace_id, t.template_id, count(*)
from tasker.steps s join tasker.tasks t using (task_id)
where s.state in ('enqueued', 'in_progress') and t.task_id in (:watched, :changed, :noted, :pending, :timed)
group by 1, 2;
delete from tasker.tasks where task_id = :plain;
vacuum full tasker.steps;
vacuum full tasker.tasks;
select pg_temp.run() as moved \gset
select count(*) from tasker.complete_steps(array(
  select jsonb_build_object('step_id', s.step_id, 'attempt', s.attempts, 'status', 'success')
  from tasker.steps s where s.task_id in (:watched, :changed, :moved) and s.state in ('enqueued', 'in_progress')));
call pg_temp.passes();
select count(*) filter (where state = 'complete') as complete, count(*) from tasker.tasks where task_id in (:watched, :changed, :moved);

-- A ready step that stands in `waiting` as well, whoever has put it there, is enqueued once, and stops nobody.
select tasker.request_task('test_audit', 'pair') as twice \gset
call pg_temp.passes();
insert into tasker.waiting (namespace_id, template_id, task_id, step_id, since, priority)
select t.namespace_id, t.template_id, t.task_id, (t.task_id << 16) + 2, now(), t.priority from tasker.tasks t where t.task_id = :twice;
select pgmq.send('orchestration_step_results', jsonb_build_object('step_id', (:twice::bigint << 16) + 1, 'attempt', 1, 'status', 'success')) > 0 as sent;
select settled, enqueued from tasker.orchestrate();
select s.state, count(q.msg_id) as messages
from tasker.steps s left join pgmq.q_test_audit_queue q on (q.message ->> 'step_id')::bigint = s.step_id
where s.step_id = (:twice::bigint << 16) + 2
group by 1;

-- A column that somebody has added with a default gets it.
alter table tasker.steps add column colour text not null default 'blue';
select pg_temp.run() as coloured \gset
select distinct s.colour, s.state from tasker.steps s where s.task_id = :coloured and (s.step_id & 65535) = 1;
alter table tasker.steps drop column colour;
select pg_temp.run() as dropped \gset
select s.state from tasker.steps s where s.task_id = :dropped and (s.step_id & 65535) = 1;
select count(*) from tasker.cancel_tasks(namespace => 'test_audit', dry_run => false);
select * from tasker.check();
