-- Functions that run as tasker_owner do what they say whatever their caller has put into the search path: operators,
-- functions, tables and types of the same names, in a schema of its own or in pg_temp, are never reached.
\getenv folder PG_ABS_SRCDIR
\set helpers :folder '/helpers.sql'
\set ECHO none
\i :helpers
\set ECHO all
\set VERBOSITY terse

call pg_temp.register('{"namespace_name": "test_hostile", "name": "two", "steps": [{"name": "a"}, {"name": "b", "depends_on": "a"}]}');
create role regress_hostile in role tasker_requester, tasker_author, tasker_worker, tasker_monitor;
create schema regress_traps authorization regress_hostile;
grant create, temporary on database contrib_regression to regress_hostile;
set role regress_hostile;

-- The traps. Whoever falls into one says so, and as whom.
create function regress_traps.spring(what text) returns text language plpgsql as $$ begin raise exception 'TRAPPED in % as %', what, current_user; end $$;
reset role;
-- More exact than the system's own for the types that our functions use: preferred wherever they are found.
do $traps$
declare
  name text;
  kind text;
  operator text;
begin
  foreach operator in array '{=,<>,<,<=,>,>=}'::text[] loop
    foreach kind in array '{text,bigint,integer,jsonb,boolean,timestamptz,name,oid}'::text[] loop
      execute format('create or replace function regress_traps.%I(%s, %s) returns boolean language plpgsql as $$ begin return regress_traps.spring(%L)::boolean; end $$',
        'op_' || md5(operator), kind, kind, 'operator ' || operator || ' of ' || kind);
      if not exists (select from pg_operator o where o.oprnamespace = 'regress_traps'::regnamespace and o.oprname = operator and o.oprleft = kind::regtype and o.oprright = kind::regtype) then
        execute format('create operator regress_traps.%s (function = regress_traps.%I, leftarg = %s, rightarg = %s)', operator, 'op_' || md5(operator), kind, kind);
      end if;
    end loop;
  end loop;
  foreach name in array '{format,jsonb_typeof,now,quote_ident,length,lower,quote_literal,md5,cardinality,to_regclass,jsonb_array_length}'::text[] loop
    execute format('create or replace function regress_traps.%I(text) returns text language plpgsql as $$ begin return regress_traps.spring(%L); end $$', name, 'function ' || name);
    execute format('create or replace function regress_traps.%I(jsonb) returns text language plpgsql as $$ begin return regress_traps.spring(%L); end $$', name, 'function ' || name);
  end loop;
  execute 'create or replace function regress_traps.clock_timestamp() returns timestamptz language plpgsql as $$ begin return regress_traps.spring(''function clock_timestamp'')::timestamptz; end $$';
end $traps$;
grant usage on schema regress_traps to public;
set role regress_hostile;
-- Tables that shadow those of the system and ours.
create temp table pg_class (oid oid, relname name, relowner oid, relnamespace oid, relkind "char");
create temp table pg_roles (oid oid, rolname name, rolsuper boolean);
create temp table pg_proc (oid oid, proname name, proacl aclitem[], pronamespace oid);
create temp table pg_trigger (tgrelid oid, tgname name);
create temp table pg_database (oid oid, datname name);
create temp table tasks (task_id bigint);
create temp table steps (step_id bigint);
create temp table namespaces (name text);
create type pg_temp.text as (trapped boolean);
create type pg_temp.jsonb as (trapped boolean);

-- The traps work: on this search path a plain comparison falls into one.
set search_path = pg_temp, regress_traps, pg_catalog, public;
select 1::bigint = 1::bigint;
select 'a'::pg_catalog.text = 'a'::pg_catalog.text;

-- Every function that the roles may call, on the same search path: with arguments that lead it through its work, ...
select tasker.create_namespace('test_hostile_too') operator(pg_catalog.>) 0 as made;
select tasker.register_template('{"namespace_name": "test_hostile", "name": "three", "steps": [{"name": "a"}], "events": {"task": ["completed"]}}'::pg_catalog.text) operator(pg_catalog.>) 0 as made;
select count(*) from tasker.validate_template('{"name": "a"}'::pg_catalog.jsonb);
select tasker.request_task('test_hostile', 'two', '{"a": 1}', idempotency_key => 'k', tags => '{t}') as task \gset
select pg_catalog.count(*) from tasker.request_tasks('test_hostile', 'three', array['{}', '{}']::pg_catalog.jsonb[]);
reset role;
set search_path = public;
call pg_temp.passes();
select pg_temp.step(:task, 'a') as a \gset
set role regress_hostile;
set search_path = pg_temp, regress_traps, pg_catalog, public;
select p.step_id operator(pg_catalog.=) :a as mine from tasker.poll_steps('test_hostile', 1, '1 min', '0', 'w', '{two}', '{a}') p;
select tasker.extend_step(:a, 1);
select tasker.release_steps(array[:a]::pg_catalog.int8[], array[1]);
reset role;
set search_path = public;
call pg_temp.passes();
set role regress_hostile;
set search_path = pg_temp, regress_traps, pg_catalog, public;
select pg_catalog.count(*) from tasker.poll_steps('test_hostile', 10);
select tasker.fail_step(:a, 2, '{"message": "m"}', true, '{"backoff_hint": {"type": "server_requested", "seconds": 1}}');
reset role;
set search_path = public;
call pg_temp.passes();
set tasker.fake_now = '2040-01-01 00:05:00+00';
call pg_temp.passes();
set role regress_hostile;
set search_path = pg_temp, regress_traps, pg_catalog, public;
select pg_catalog.count(*) from tasker.exchange_steps('test_hostile', null, 10);
select outcome from tasker.complete_steps(array[pg_catalog.format('{"step_id": %s, "attempt": 3, "status": "success", "result_data": {}}', :a)::pg_catalog.jsonb], advance => true);
select pg_catalog.count(*) from tasker.exchange_steps('test_hostile', null, 10);
select pg_catalog.count(*) from tasker.dependency_results(:a + 1);
select tasker.complete_step(:a + 1, 1);
reset role;
set search_path = public;
call pg_temp.passes();
set role regress_hostile;
set search_path = pg_temp, regress_traps, pg_catalog, public;
select state from tasker.wait_for_task(:task, '0');
select pg_catalog.count(*) from tasker.find_tasks(tag => 't', namespace => 'test_hostile', name => 'two', state => 'complete');
select pg_catalog.count(*) from tasker.task_results(:task);
select status from tasker.get_task_execution_context(:task);
select tasker.cancel_task(:task);
select pg_catalog.count(*) from tasker.list_templates('test_hostile');
select tasker.get_template('test_hostile', 'two') is not null;
select tasker.template_graph('test_hostile', 'two') is not null, tasker.task_graph(:task) is not null;
select tasker.retire_template('test_hostile', 'two', '1.0.0');
select pg_catalog.count(*) operator(pg_catalog.>) 0 from tasker.explain_task(:task);
select pg_catalog.count(*) from tasker.get_step_readiness_status(:task);
select pg_catalog.count(*) from tasker.get_viable_steps(:task);
select pg_catalog.count(*) from tasker.calculate_dependency_levels(:task);
select pg_catalog.count(*) from tasker.get_system_health_counts();
select pg_catalog.count(*) from tasker.get_analytics_metrics();
select pg_catalog.count(*) operator(pg_catalog.>) 0 from tasker.get_slowest_steps();
select pg_catalog.count(*) operator(pg_catalog.>) 0 from tasker.get_slowest_tasks();
select pg_catalog.count(*) from tasker.check();
-- ... and every view.
set role regress_hostile;
set search_path = pg_temp, regress_traps, pg_catalog, public;
do $views$
declare
  view pg_catalog.text;
begin
  for view in select c.oid::pg_catalog.regclass from pg_catalog.pg_class c where c.relnamespace operator(pg_catalog.=) 'tasker'::pg_catalog.regnamespace and c.relkind operator(pg_catalog.=) 'v' loop
    execute pg_catalog.concat('select pg_catalog.count(v) from ', view, ' v');
  end loop;
end $views$;
reset role;
reset search_path;

-- A pass, and what admins call, likewise.
set search_path = pg_temp, regress_traps, pg_catalog, public;
select more from tasker.orchestrate();
select pg_catalog.count(*) operator(pg_catalog.>=) 0 as called from tasker.cancel_tasks(namespace => 'test_hostile', dry_run => false);
select pg_catalog.count(*) operator(pg_catalog.>=) 0 as called from tasker.retry_tasks(namespace => 'test_hostile', dry_run => false);
select pg_catalog.count(*) operator(pg_catalog.>=) 0 as called from tasker.claim_ready_tasks('me', 10, 'test_hostile');
select pg_catalog.count(*) operator(pg_catalog.>=) 0 as called from tasker.reconcile();
select tasker.set_namespace_limit('test_hostile', 5), tasker.pause_namespace('test_hostile'), tasker.resume_namespace('test_hostile');
select tasker.purge_namespace('test_hostile') operator(pg_catalog.>=) 0 as called;
select tasker.grant_worker('regress_hostile', 'test_hostile');
select tasker.revoke_worker('regress_hostile', 'test_hostile');

-- What all of this would come to if a single function forgot its search path: whoever calls it acts as tasker_owner.
begin;
alter function tasker.pause_namespace(pg_catalog.text) reset search_path;
select tasker.pause_namespace('test_hostile');
rollback;
reset search_path;
select tasker.drop_namespace('test_hostile', true), tasker.drop_namespace('test_hostile_too', true);
select * from tasker.check();
drop schema regress_traps cascade;
discard temp;
drop owned by regress_hostile;
drop role regress_hostile;
