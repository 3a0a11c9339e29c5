-- A role can be limited to namespaces: it does there what its right says, and nothing elsewhere.
\getenv folder PG_ABS_SRCDIR
\set helpers :folder '/helpers.sql'
\set ECHO none
\i :helpers
\set ECHO all
\set VERBOSITY terse

call pg_temp.register('{"namespace_name": "test_mine", "name": "two", "steps": [{"name": "a"}, {"name": "b", "depends_on": "a"}]}');
call pg_temp.register('{"namespace_name": "test_theirs", "name": "two", "steps": [{"name": "a"}, {"name": "b", "depends_on": "a"}], "events": {"task": ["completed"]}}');
create role regress_worker;
create role regress_requester;
create role regress_author;
create role regress_plain;
create role "regress ""odd""; drop";
create role regress_nobody;
create role regress_member in role tasker_worker, tasker_requester, tasker_author;
select tasker.grant_worker('regress_worker', 'test_mine');
select tasker.grant_requester('regress_requester', 'test_mine');
select tasker.grant_author('regress_author', 'test_mine');
select tasker.grant_worker('regress_plain', 'test_mine', plain => true);
select tasker.grant_worker('regress "odd"; drop', 'test_mine');
select role, granted, namespace, plain, namespace_exists, granted_by = session_user as by_us from tasker.role_grants where role like 'regress%' order by role;

-- In its own namespace a worker does all that workers do.
select tasker.request_task('test_mine', 'two') as mine, tasker.request_task('test_theirs', 'two') as theirs \gset
call pg_temp.passes();
select pg_temp.step(:mine, 'a') as mine_a, pg_temp.step(:mine, 'b') as mine_b, pg_temp.step(:theirs, 'a') as theirs_a, pg_temp.step(:theirs, 'b') as theirs_b \gset
set role regress_worker;
select p.step_id = :mine_a as polled from tasker.poll_steps('test_mine') p;
select tasker.extend_step(:mine_a, 1) as extended;
select tasker.release_steps(array[:mine_a], array[1]) as released;
reset role;
call pg_temp.passes();
set role regress_worker;
select p.attempt from tasker.poll_steps('test_mine') p;
select tasker.fail_step(:mine_a, 2);
reset role;
call pg_temp.passes();
call pg_temp.later('10 s');
call pg_temp.passes();
set role regress_worker;
select p.attempt from tasker.poll_steps('test_mine') p;
select e.message ->> 'step_name' as next from tasker.exchange_steps('test_mine', array[jsonb_build_object('step_id', :mine_a, 'attempt', 3, 'status', 'success', 'result_data', '{"n": 1}'::jsonb)]) e;
select step_name, results from tasker.dependency_results(:mine_b);
select outcome from tasker.complete_steps(array[jsonb_build_object('step_id', :mine_b, 'attempt', 1, 'status', 'success')]);
reset role;
call pg_temp.passes();
select pg_temp.task(:mine);

-- In another it does nothing, known ids or not; nor does one bad item spoil only itself.
select p.step_id = :theirs_a as polled from tasker.poll_steps('test_theirs') p;
select tasker.request_task('test_mine', 'two') as mine \gset
call pg_temp.passes();
select pg_temp.step(:mine, 'a') as mine_a \gset
set role regress_worker;
select count(*) from tasker.poll_steps('test_mine');
select count(*) from tasker.poll_steps('test_theirs');
select count(*) from tasker.poll_steps('test_nowhere');
select count(*) from tasker.poll_steps(null);
\set theirs_result 'jsonb_build_object(''step_id'', ' :theirs_a ', ''attempt'', 1, ''status'', ''success'')'
\set mine_result 'jsonb_build_object(''step_id'', ' :mine_a ', ''attempt'', 1, ''status'', ''success'')'
\set VERBOSITY sqlstate
select tasker.complete_step(:theirs_a, 1);
select tasker.fail_step(:theirs_a, 1);
select tasker.extend_step(:theirs_a, 1);
select tasker.release_steps(array[:mine_a, :theirs_a], array[1, 1]);
select count(*) from tasker.dependency_results(:theirs_b);
select count(*) from tasker.complete_steps(array[:mine_result, :theirs_result]);
select count(*) from tasker.complete_steps(array[:mine_result, :theirs_result], advance => true);
select count(*) from tasker.exchange_steps('test_mine', array[:mine_result, :theirs_result]);
select count(*) from tasker.exchange_steps('test_theirs', array[:mine_result]);
select tasker.register_template('{"namespace_name": "test_theirs", "name": "new", "steps": [{"name": "a"}]}');
select tasker.register_template('{"namespace_name": "test_nowhere", "name": "new", "steps": [{"name": "a"}]}');
select tasker.request_task('test_mine', 'two');
select tasker.create_namespace('test_mine');
select count(*) from tasker.tasks;
select count(*) from tasker.task_status;
-- Nor by plain pgmq, unless that was granted.
select count(*) from pgmq.read('test_mine_queue', 0, 1);
select count(*) from pgmq.read('test_theirs_queue', 0, 1);
select pgmq.send('orchestration_step_results', :theirs_result) > 0 as sent;
select pgmq.send('orchestration_task_requests', '{"namespace": "test_theirs", "name": "two", "context": {}}') > 0 as sent;
\set VERBOSITY terse
reset role;
select pg_temp.steps(:mine) as mine, pg_temp.steps(:theirs) as theirs;
select count(*) as results from pgmq.q_orchestration_step_results;
-- Steps that nobody knows are late, as for anybody.
set role regress_worker;
select outcome from tasker.complete_steps(array['{"step_id": 9007199254740991, "attempt": 1, "status": "success"}'::jsonb]);
select tasker.register_template('{"namespace_name": "test_mine", "name": "new", "steps": [{"name": "a"}]}') > 0 as registered;
reset role;

-- Plain pgmq, where it was granted: its namespace's queue, results, and no more.
set role regress_plain;
select count(*) from pgmq.read('test_mine_queue', 0, 1);
select pgmq.send('orchestration_step_results', :mine_result) > 0 as sent;
select count(*) from pgmq.read('test_theirs_queue', 0, 1);
select pgmq.send('test_mine_queue', '{}') > 0 as sent;
select count(*) from pgmq.read('orchestration_step_results', 0, 1);
reset role;
call pg_temp.passes();
select pg_temp.steps(:mine) as mine;

-- With all that pgmq's functions do to take a message, but none changes what it says; with none does a sender choose an id.
-- Nor do those who hold the right everywhere.
select tasker.request_task('test_mine', 'two') as spare \gset
call pg_temp.passes();
\set VERBOSITY sqlstate
set role regress_plain;
select count(*) from pgmq.read_with_poll('test_mine_queue', 0, 1, 1);
select count(*) as hidden from pgmq.set_vt('test_mine_queue', (select min(msg_id) from pgmq.q_test_mine_queue), 0);
update pgmq.q_test_mine_queue set message = message || '{"step_payload": {}}';
update pgmq.q_test_mine_queue set msg_id = default;
update pgmq.q_test_mine_queue set headers = '{}';
insert into pgmq.q_orchestration_step_results (msg_id, vt, message) overriding system value values (9223372036854775807, now(), '{}');
select count(*) from pgmq.archive('test_mine_queue', (select min(msg_id) from pgmq.q_test_mine_queue));
select count(*) as popped from pgmq.pop('test_mine_queue', 100);
set role regress_member;
update pgmq.q_test_theirs_queue set message = '{}';
update pgmq.q_test_theirs_events set message = '{}';
insert into pgmq.q_orchestration_step_results (msg_id, vt, message) overriding system value values (9223372036854775807, now(), '{}');
insert into pgmq.q_orchestration_task_requests (msg_id, vt, message) overriding system value values (9223372036854775807, now(), '{}');
select count(*) as sent from pgmq.send_batch('orchestration_step_results', array['{}', '{}']::jsonb[]);
select count(*) as sent from pgmq.send('orchestration_task_requests', '{}', 0);
\set VERBOSITY terse
reset role;
call pg_temp.passes();
delete from tasker.rejected_messages;
select tasker.cancel_task(:spare);

-- A requester sees and does only its own.
set role regress_requester;
select tasker.request_task('test_mine', 'two', correlation_id => '00000000-0000-7000-8000-000000000090') > 0 as requested;
select tasker.request_task('test_theirs', 'two');
select tasker.request_task('test_nowhere', 'two');
select count(*) from tasker.request_tasks('test_theirs', 'two', array['{}']::jsonb[]);
select distinct f.namespace from tasker.find_tasks(max_rows => null) f;
select count(*) from tasker.find_tasks(namespace => 'test_theirs');
select count(*) > 0 as found from tasker.task_results(:mine);
select state from tasker.wait_for_task(:mine, '0');
select status from tasker.get_task_execution_context(:mine);
select c.task_id = :mine as only_mine from tasker.get_task_execution_contexts(array[:mine, :theirs]) c;
select distinct l.namespace from tasker.list_templates() l;
select count(*) from tasker.list_templates('test_theirs');
select tasker.get_template('test_mine', 'two') ->> 'name' as name;
\set VERBOSITY sqlstate
select count(*) from tasker.task_results(:theirs);
select state from tasker.wait_for_task(:theirs, '0');
select tasker.cancel_task(:theirs);
select count(*) from tasker.get_task_execution_context(:theirs);
select tasker.get_template('test_theirs', 'two');
select count(*) from tasker.poll_steps('test_mine');
select pgmq.send('orchestration_task_requests', '{"namespace": "test_theirs", "name": "two", "context": {}}') > 0 as sent;
select count(*) from pgmq.read('test_theirs_events', 0, 1);
\set VERBOSITY terse
select tasker.cancel_task(:mine);
reset role;
select pg_temp.task(:mine) as mine, pg_temp.task(:theirs) as theirs;

-- An author registers and retires in its own; it makes a namespace only where it was granted one of that name.
select tasker.grant_author('regress_author', 'test_new');
set role regress_author;
select tasker.register_template('{"namespace_name": "test_mine", "name": "other", "steps": [{"name": "a"}]}') > 0 as registered;
select tasker.register_template('{"namespace_name": "test_theirs", "name": "other", "steps": [{"name": "a"}]}');
select tasker.register_template('{"namespace_name": "test_another", "name": "other", "steps": [{"name": "a"}]}');
select tasker.register_template('{"namespace_name": "test_new", "name": "other", "steps": [{"name": "a"}], "events": {"task": ["completed"]}}'::jsonb) > 0 as registered;
select tasker.create_namespace('test_new') > 0 as found, tasker.retire_template('test_mine', 'other', '1.0.0');
select tasker.create_namespace('test_another');
select tasker.retire_template('test_theirs', 'two', '1.0.0');
select tasker.template_graph('test_mine', 'two') like '%a%' as drawn;
select tasker.template_graph('test_theirs', 'two');
select distinct l.namespace from tasker.list_templates() l order by 1;
reset role;
select count(*) from tasker.namespaces n where n.name in ('test_another', 'test_nowhere');

-- Who holds a right everywhere is not limited, also when something is granted on top.
select tasker.grant_worker('regress_member', 'test_mine');
set role regress_member;
select count(*) >= 0 as may from tasker.poll_steps('test_theirs');
select tasker.request_task('test_theirs', 'two') > 0 as may;
reset role;

-- The role that the session acts as counts: after SET ROLE no more than that role has, though the login may do everything.
set session authorization regress_member;
select count(*) >= 0 as may from tasker.poll_steps('test_theirs');
reset session authorization;
grant regress_worker to regress_nobody;
set session authorization regress_nobody;
select count(*) as by_inheritance from tasker.poll_steps('test_mine');
select count(*) from tasker.poll_steps('test_theirs');
reset session authorization;

-- A limited role cannot lend its right around the limit: through a function of its own, whoever calls it, the limit holds.
create schema regress_lent authorization regress_plain;
grant usage on schema regress_lent to public;
set role regress_plain;
create function regress_lent.poll(namespace text) returns bigint language sql security definer return (select count(*) from tasker.poll_steps(namespace));
reset role;
revoke regress_worker from regress_nobody;
set role regress_nobody;
select regress_lent.poll('test_theirs');
reset role;
set role regress_requester;
select regress_lent.poll('test_theirs');
reset role;
set role regress_worker;
select regress_lent.poll('test_theirs');
select regress_lent.poll('test_mine') as own;
reset role;

-- Nor has somebody else maintain its table: what an index or a materialized view calls runs for its owner then, in the
-- session of whoever maintains it.
create schema regress_kept authorization regress_plain;
set role regress_plain;
create table regress_kept.said (what text);
create table regress_kept.bait (id integer);
insert into regress_kept.bait values (1);
create function regress_kept.take(namespace text) returns integer language plpgsql as $$
declare
  taken integer;
begin
  select count(*) into taken from tasker.poll_steps(namespace);
  insert into regress_kept.said values ('polled');
  return taken;
exception when others then
  insert into regress_kept.said values (sqlstate || ' ' || sqlerrm);
  return 0;
end $$;
create function regress_kept.harmless(id integer) returns integer language sql immutable return id;
create index bait_harmless on regress_kept.bait (regress_kept.harmless(id));
create or replace function regress_kept.harmless(id integer) returns integer language plpgsql immutable as $$
begin
  return regress_kept.take('test_theirs');
end $$;
reset role;
analyze regress_kept.bait;
reindex table regress_kept.bait;
select distinct what from regress_kept.said;
drop schema regress_kept cascade;

-- What cannot be granted.
select tasker.grant_worker('regress_unknown', 'test_mine');
select tasker.grant_worker('public', 'test_mine');
select tasker.grant_worker(null, 'test_mine');
select tasker.grant_worker('regress_worker', 'test_nowhere');
select tasker.grant_worker('regress_worker', null);
select tasker.grant_author('regress_author', 'No; such');
select tasker.grant_worker('tasker_monitor', 'test_mine');
set role regress_worker;
select tasker.grant_worker('regress_worker', 'test_theirs');
reset role;

-- Taken back, nothing is left: not by functions, queues or schemas. One of two rights leaves the other.
select tasker.grant_requester('regress_worker', 'test_mine');
select tasker.revoke_worker('regress_worker', 'test_mine'), tasker.revoke_worker('regress_worker', 'test_mine') as again, tasker.revoke_worker('regress_worker', 'test_theirs') as never;
set role regress_worker;
\set VERBOSITY sqlstate
select count(*) from tasker.poll_steps('test_mine');
\set VERBOSITY terse
select tasker.request_task('test_mine', 'two') > 0 as may_still_request;
reset role;
select tasker.revoke_requester('regress_worker', 'test_mine'), tasker.revoke_worker('regress_plain', 'test_mine'), tasker.revoke_worker('regress_member', 'test_mine'),
  tasker.revoke_worker('regress "odd"; drop', 'test_mine');
drop schema regress_lent cascade;
-- It can be dropped: no right refers to it any more.
drop role regress_worker, regress_plain, regress_member, "regress ""odd""; drop";

-- A queue that is made again gives the roles of its namespace what the old one gave.
create role regress_worker;
select tasker.grant_worker('regress_worker', 'test_mine', plain => true);
select pgmq.drop_queue('test_mine_queue');
select tasker.create_namespace('test_mine') > 0 as made_again;
set role regress_worker;
select count(*) from pgmq.read('test_mine_queue', 0, 1);
reset role;
-- Granted again without plain, that is gone.
select tasker.grant_worker('regress_worker', 'test_mine');
set role regress_worker;
\set VERBOSITY sqlstate
select count(*) from pgmq.read('test_mine_queue', 0, 1);
\set VERBOSITY terse
reset role;
call pg_temp.register('{"namespace_name": "test_mine", "name": "telling", "steps": [{"name": "a"}], "events": {"task": ["completed"]}}');
set role regress_worker;
select count(*) as events from pgmq.read('test_mine_events', 0, 1);
reset role;

-- A role that has been granted something cannot be dropped before it is taken back, so that no row outlives its role.
drop role regress_worker;
drop owned by regress_worker;
drop role regress_worker;
select tasker.revoke_worker('regress_worker', 'test_mine');
drop role regress_worker;

-- With a namespace go its grants.
select tasker.drop_namespace(n, force => true) from unnest('{test_mine,test_theirs,test_new}'::text[]) n;
select count(*) from tasker.role_grants;
drop role regress_requester, regress_author, regress_nobody;

-- While nobody is limited, a function may lend the rights of its owner, whoever calls it.
create role regress_owner in role tasker_requester;
create role regress_web;
call pg_temp.register('{"namespace_name": "test_mine", "name": "one", "steps": [{"name": "a"}]}');
create schema regress_lent authorization regress_owner;
grant usage on schema regress_lent to public;
set role regress_owner;
create function regress_lent.request() returns bigint language sql security definer return tasker.request_task('test_mine', 'one');
set role regress_web;
select regress_lent.request() > 0 as lent;
reset role;
create role regress_requester;
select tasker.grant_requester('regress_requester', 'test_mine');
set role regress_web;
select regress_lent.request() > 0 as lent;
reset role;
select tasker.grant_requester('regress_web', 'test_mine');
set role regress_web;
select regress_lent.request() > 0 as lent;
reset role;
select tasker.drop_namespace('test_mine', force => true);
drop schema regress_lent cascade;
drop role regress_owner, regress_web, regress_requester;
select * from tasker.check();
