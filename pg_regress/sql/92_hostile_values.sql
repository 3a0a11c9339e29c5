-- Whatever a text says, it is a value: never SQL, never a format, never lost.
\getenv folder PG_ABS_SRCDIR
\set helpers :folder '/helpers.sql'
\set ECHO none
\i :helpers
\set ECHO all
\set VERBOSITY terse

create temp table hostile (n integer generated always as identity, value text);
insert into hostile (value) values
  (''''), ('"'), ('\'), ('%'), ('%s %I %L %1$s'), ('$$'), ('$sql$'), ('{queue}'), ('{}'), ('null'), (''), (' '), (e'\n\t\r'),
  ('''; drop table tasker.tasks; --'), ('" ; drop table tasker.tasks; --'), ('x'') union select 1 --'), ('pg_temp.x'), ('tasker_owner'),
  ('Ünïcödé'), ('日本語'), (U&'\202E rtl'), (U&'\+01F4A9'), (U&'\FEFF'), (repeat('x', 256)), (repeat('"', 63)), ('public'), ('..'), ('../../etc/passwd');

-- Every public function takes each of them in all of its texts (arrays and JSON of them too), with the rest left NULL. It
-- answers, or says in its own words what is wrong: no syntax error, no unknown relation, no internal error.
create function pg_temp.argument(type oid, value text) returns text
language sql
as $$
  select case format_type(type, null)
    when 'text' then format('%L::text', value)
    when 'text[]' then format('array[%L]::text[]', value)
    when 'jsonb' then format('%L::jsonb', to_jsonb(value))
    when 'jsonb[]' then format('array[%L, %L]::jsonb[]', jsonb_build_object(case when value = '' then 'k' else left(value, 100) end, value), to_jsonb(value))
    when 'boolean' then 'true'
    else format('null::%s', format_type(type, null))
  end
$$;
create temp table told (signature text, state text, message text);
do $$
declare
  call record;
begin
  for call in
    select p.oid::regprocedure::text as signature,
      format('do $hostile$ begin perform (select count(*) from tasker.%I(%s)); raise exception ''undone''; end $hostile$', p.proname,
        (select string_agg(pg_temp.argument(t, h.value), ', ' order by n) from unnest(p.proargtypes) with ordinality a(t, n))) as statement
    from pg_proc p
    cross join hostile h
    where p.pronamespace = 'tasker'::regnamespace and p.proname not like '\_%' and p.proname <> 'uninstall'
      and p.proargtypes::oid[] && '{text,text[],jsonb,jsonb[]}'::regtype[]::oid[]
  loop
    begin
      execute call.statement;
    exception when others then
      insert into told values (call.signature, sqlstate, sqlerrm);
    end;
  end loop;
end $$;
select count(*) > 1000 as calls, count(distinct signature) as functions from told;
select distinct t.signature, t.state, left(t.message, 200) as message
from told t
where t.state in ('42601', '42P01', '42883', '42703', '42P02', '22P02', '26000') or t.state like 'XX%' or t.state like '2F%' or t.state like '0A%'
order by 1;
select count(*) as tasks_table from pg_class c where c.oid = 'tasker.tasks'::regclass;
-- None of them named a namespace.
select count(*) from tasker.namespaces n join hostile h on h.value = n.name;

-- What may be any text comes back as it was: from the request to the message, the views and the history.
call pg_temp.register('{"namespace_name": "test_values", "name": "one", "steps": [{"name": "a", "handler": {"callable": "%s $$ '' \" {queue}"}}]}');
create temp table task as
select h.n, tasker.request_task('test_values', 'one', jsonb_build_object('value', h.value, left(h.value, 100), 1), initiator => h.value,
  source_system => h.value, reason => h.value, tags => array[h.value, h.value], idempotency_key => left(nullif(h.value, ''), 512)) as task_id
from hostile h;
call pg_temp.passes();
select count(*) as altered
from task k
join hostile h using (n)
join tasker.tasks t using (task_id)
join tasker.task_status s using (task_id)
where (t.context ->> 'value', t.initiator, t.source_system, t.reason, t.tags[2], s.idempotency_key, s.reason) is distinct from
  (h.value, h.value, h.value, h.value, h.value, left(nullif(h.value, ''), 512), h.value);
select count(*) as found from hostile h cross join lateral tasker.find_tasks(tag => h.value, namespace => 'test_values', max_rows => null) f;
create temp table taken as select p.step_id, p.task_id, p.attempt, p.message from tasker.poll_steps('test_values', 1000, worker_id => '%s '' " $$ ; --') p;
select count(*) filter (where t.message #>> '{step_payload,task_context,value}' is distinct from h.value) as altered,
  min(t.message #>> '{step_payload,step_context,handler,callable}') as handler
from taken t join task k using (task_id) join hostile h using (n);
select distinct worker_id from tasker.step_status where namespace = 'test_values';
select count(tasker.complete_step(t.step_id, t.attempt, to_jsonb(h.value))) as done from taken t join task k using (task_id) join hostile h using (n) where h.n % 2 = 0;
select count(tasker.fail_step(t.step_id, t.attempt, jsonb_build_object('message', h.value, 'error_type', h.value), retryable => false)) as failed
from taken t join task k using (task_id) join hostile h using (n) where h.n % 2 = 1;
call pg_temp.passes();
select count(*) as altered
from task k join hostile h using (n) cross join lateral tasker.task_results(k.task_id) r
where coalesce(r.results #>> '{}', r.last_error ->> 'message') is distinct from h.value;
select count(*) as explained from task k cross join lateral (select count(*) from tasker.explain_task(k.task_id)) e;
select count(tasker.retry_task(k.task_id, h.value)) as retried from task k join hostile h using (n) where h.n % 2 = 1;
select count(tasker.cancel_task(k.task_id, h.value)) as cancelled from task k join hostile h using (n) where h.n % 2 = 1;
select count(*) as altered
from task k join hostile h using (n) join tasker.task_transitions t using (task_id)
where t.to_state = 'cancelled' and t.metadata ->> 'reason' is distinct from h.value;
select tasker.create_namespace('test_described', e'%s ''" $$\n\\') > 0 as made;
select description from tasker.namespaces where name = 'test_described';
select tasker.drop_namespace('test_described');

-- As messages, each is taken or set apart whole, and stops nobody.
select count(*) as sent from hostile h cross join lateral pgmq.send('orchestration_task_requests', jsonb_build_object('namespace', h.value, 'name', h.value, 'version', h.value, 'context', jsonb_build_object('v', h.value)));
select count(*) as sent from hostile h cross join lateral pgmq.send('orchestration_step_results', jsonb_build_object('step_id', h.value, 'status', h.value));
select count(*) as sent from hostile h cross join lateral pgmq.send('orchestration_step_results', to_jsonb(h.value));
select count(*) as sent from hostile h cross join lateral pgmq.send('test_values_queue', jsonb_build_object('step_id', h.value, 'attempt', 1));
call pg_temp.passes();
select count(*) as polled from tasker.poll_steps('test_values', 1000);
select q.depth from tasker.queue_status q where q.queue_name like 'orchestration%' or q.namespace = 'test_values';
select r.queue_name, count(*), count(distinct r.message) as different from tasker.rejected_messages r where r.queue_name = 'test_values_queue' or r.message ->> 'name' in (select h.value from hostile h) group by 1 order by 1;

-- Role names are any text too.
do $do$
declare
  role text;
begin
  foreach role in array array['%s " ''; --', 'regress.x', 'Regress $$', 'régress 日本'] loop
    execute format('create role %I', role);
    perform tasker.grant_requester(role, 'test_values'), tasker.grant_worker(role, 'test_values', true), tasker.grant_author(role, 'test_values');
    execute format('set role %I', role);
    perform tasker.request_task('test_values', 'one', reason => role);
    reset role;
    execute format('set session authorization %I', role);
    perform tasker.request_task('test_values', 'one', reason => role);
    begin
      perform tasker.request_task('test_elsewhere', 'one');
    exception when insufficient_privilege then
      raise notice '%', sqlerrm;
    end;
    reset session authorization;
  end loop;
end $do$;
select t.actor from tasker.task_transitions t join tasker.tasks k using (task_id) where k.reason = t.actor order by t.actor collate "C";
select role, granted, plain from tasker.role_grants order by role collate "C", granted;
select tasker.drop_namespace('test_values', true);
drop role "%s "" '; --", "regress.x", "Regress $$", "régress 日本";
delete from tasker.rejected_messages r where r.queue_name = 'test_values_queue' or r.message ->> 'name' in (select h.value from hostile h);
select * from tasker.check();
