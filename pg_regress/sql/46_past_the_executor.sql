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

-- Whoever writes them, rows are the same: those of a, in all three tasks.
select count(*) as steps,
  count(distinct to_jsonb(s) - '{step_id,task_id,msg_id,enqueued_at,started_at,reported_at,finished_at}'::text[]
    || jsonb_build_object('times', array[s.enqueued_at is null, s.started_at is null, s.reported_at is null, s.finished_at is null])) as kinds
from tasker.steps s
where s.task_id in (:plain, :watched, :changed) and (s.step_id & 65535) = 1;

-- More than are written at a time, in one call.
select count(*) from tasker.step_transitions \gset
select tasker._audit_steps(array(select (:plain::bigint << 16) + 1 from generate_series(1, 1201)), tasker.clock(),
  array(select n from generate_series(1, 1201) n), array(select 'pending'::text from generate_series(1, 1201)), 'enqueued');
select count(*) - :count as written, count(distinct step_transition_id) = count(*) as numbered,
  max(attempt) as last from tasker.step_transitions;

-- What a row must have is asked for.
\set VERBOSITY terse
select tasker._audit_steps(array[1::bigint], tasker.clock(), array[null::integer], array['a'], 'b');
select tasker._write_complete(array[(:plain::bigint << 16) + 2], array[null::jsonb], null) is null as not_done;
select tasker._write_enqueued(array[(:plain::bigint << 16) + 2], array[-1], array[1::bigint], tasker.clock());
\set VERBOSITY default
-- Who is not there is passed over.
select tasker._write_enqueued(array[-1::bigint], array[1], array[1::bigint], tasker.clock());
delete from tasker.step_transitions where step_id = (:plain::bigint << 16) + 1 and attempt > 1;
select count(*) from tasker.cancel_tasks(namespace => 'test_audit', dry_run => false);
select * from tasker.check();
