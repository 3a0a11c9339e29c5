-- A pass that finds nothing to do writes nothing: it takes no transaction id.
\getenv folder PG_ABS_SRCDIR
\set helpers :folder '/helpers.sql'
\set ECHO none
\i :helpers
\set ECHO all

call pg_temp.register($$
  namespace_name: test_idle
  name: one
  version: 1.0.0
  steps: [{name: it, timeout_seconds: 3600, retry: {backoff: none, backoff_base_ms: 60000}}]
$$);
create function pg_temp.writes()
returns boolean
language plpgsql
as $$
begin
  perform tasker.orchestrate();
  return pg_current_xact_id_if_assigned() is not null;
end $$;

-- Nothing at all; and a task that is delayed. A pass with work does take one.
select pg_temp.writes();
select tasker.request_task('test_idle', 'one', run_at => tasker.clock() + interval '1 hour') as task \gset
select pg_temp.writes();
call pg_temp.later('1 hour');
select pg_temp.writes();
select pg_temp.writes();

-- Steps in the queue, with workers, and waiting for a retry.
select tasker.request_task('test_idle', 'one') as other \gset
select pg_temp.writes();
select pg_temp.writes();
select count(*) from tasker.poll_steps('test_idle');
select pg_temp.writes();
call pg_temp.reply(:other, 'it', 'failure');
select pg_temp.writes();
select pg_temp.writes();

-- A backlog without room, in a paused namespace, in one that is set aside.
select tasker.set_namespace_limit('test_idle', 1);
select count(*) from tasker.request_tasks('test_idle', 'one', array_fill('{}'::jsonb, array[10]));
select pg_temp.writes();
select tasker.set_namespace_limit('test_idle', null);
select tasker.pause_namespace('test_idle');
select pg_temp.writes();
select tasker.resume_namespace('test_idle');
update tasker.namespaces set fault = 'a test', fault_until = tasker.clock() + interval '1 minute' where name = 'test_idle';
select pg_temp.writes();
update tasker.namespaces set fault = null, fault_until = null where name = 'test_idle';
select pg_temp.writes();
select pg_temp.writes();

-- Messages that are not to be looked at yet.
select count(*) from pgmq.send('orchestration_step_results', '{}', 3600);
select count(*) from pgmq.send('orchestration_task_requests', '{}', 3600);
select pg_temp.writes();
select pgmq.purge_queue('orchestration_step_results') as results, pgmq.purge_queue('orchestration_task_requests') as requests;

-- Waiting is read only as well.
select tasker.wait_for_task(:task, '0') is not null as waited, pg_current_xact_id_if_assigned() is null as unwritten;
begin;
select count(*) from tasker.poll_steps('test_idle', step_names => '{none}');
select pg_current_xact_id_if_assigned() is null as unwritten;
select count(*) from tasker.check();
select count(*) from tasker.task_status where namespace = 'none';
select tasker.run_until_idle();
select pg_current_xact_id_if_assigned() is null as unwritten;
commit;

select * from tasker.check();
