-- Where vacuum has found a queue empty, or nearly so, the planner does not take it for that for ever.
\getenv folder PG_ABS_SRCDIR
\set helpers :folder '/helpers.sql'
\set ECHO none
\i :helpers
\set ECHO all

select tasker.create_namespace('test_queue_size') > 0 as created;
select pgmq.create('test_queue_size_of_others');
create function pg_temp.fill(queue text) returns bigint language plpgsql as $$
begin
  execute format('alter table pgmq.%I set (autovacuum_enabled = off)', 'q_' || queue);
  return (select count(*) from pgmq.send_batch(queue, array_fill(jsonb_build_object('filler', repeat('x', 500)), array[1000])));
end $$;
select pg_temp.fill('test_queue_size_queue'), pg_temp.fill('test_queue_size_of_others');
-- As vacuum leaves it where it finds no message, and cannot cut it.
create procedure pg_temp.vacuum_as_empty(queue text) language sql as $$
  update pg_class c
  set relpages = pg_relation_size(c.oid) / current_setting('block_size')::integer, reltuples = 0
  where c.oid = format('pgmq.%I', 'q_' || queue)::regclass
$$;
create function pg_temp.plan(queue text, query text) returns jsonb language plpgsql as $$
declare
  plan jsonb;
begin
  execute 'explain (format json) ' || format(query, 'q_' || queue) into plan;
  return plan -> 0 -> 'Plan';
end $$;

begin;
call pg_temp.vacuum_as_empty('test_queue_size_queue');
call pg_temp.vacuum_as_empty('test_queue_size_of_others');
select queue, (pg_temp.plan(queue, 'select from pgmq.%I') ->> 'Plan Rows')::bigint between 500 and 2000 as near_enough
from unnest(array['test_queue_size_queue', 'test_queue_size_of_others']) queue;
-- As pgmq.pop takes messages: each one of the queue is not compared with each one taken.
select queue, pg_temp.plan(queue, $$
    with taken as (
      select q.msg_id from pgmq.%1$I q where q.vt <= clock_timestamp() order by q.msg_id limit 100 for update skip locked
    )
    delete from pgmq.%1$I q where q.msg_id in (select t.msg_id from taken t)
  $$)::text ~ 'Join Filter' as compares_all
from unnest(array['test_queue_size_queue', 'test_queue_size_of_others']) queue;
rollback;

select pgmq.drop_queue('test_queue_size_of_others');
select tasker.drop_namespace('test_queue_size', force => true);
select * from tasker.check();
