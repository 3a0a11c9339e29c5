-- Looks at a queue begin at its mark. A queue that is dropped, emptied or made again has none: what comes there is found
-- by the next look.
\getenv folder PG_ABS_SRCDIR
\set helpers :folder '/helpers.sql'
\set ECHO none
\i :helpers
\set ECHO all
call pg_temp.register($$
  namespace_name: test_marks
  name: one
  version: 1.0.0
  steps: [{name: it}]
$$);
select tasker.set_namespace_limit('test_marks', null);
-- A queue that 5,000 messages have gone through. Looks come one after the other: a sweep would be a quarter of a second later.
create procedure pg_temp.use(how_many integer)
language plpgsql
as $$
begin
  perform tasker.request_tasks('test_marks', 'one', array_fill('{}'::jsonb, array[how_many]));
  perform tasker.run_until_idle();
  for i in 1 .. how_many / 100 loop
    perform from tasker.poll_steps('test_marks', 100);
  end loop;
end $$;
call pg_temp.use(5000);
select count(*) from pgmq.q_test_marks_queue;
select tasker._sweep_due('test_marks_queue') is not null as is_marked, tasker._sweep_due('test_marks_queue', array['some']) is not null as of_others;

-- Dropped and made again, ids begin at 1. The steps that lost their messages come again.
select tasker.request_task('test_marks', 'one') as task \gset
call pg_temp.passes();
select pgmq.drop_queue('test_marks_queue');
select name, repaired from tasker.reconcile();
select tasker._sweep_due('test_marks_queue') is not null as is_marked;
call pg_temp.passes();
select count(*), max(p.msg_id) < 2000 as anew from tasker.poll_steps('test_marks') p where p.task_id = :task;

-- Emptied, with its ids from 1 on.
call pg_temp.use(5000);
truncate pgmq.q_test_marks_queue restart identity;
select tasker._sweep_due('test_marks_queue') is not null as is_marked;
call pg_temp.use(1);
select tasker.request_task('test_marks', 'one') as task \gset
call pg_temp.passes();
select count(*) from tasker.poll_steps('test_marks', 10) p where p.task_id = :task;

-- Who asks for some of the messages does not pass by the others' for those who take all.
call pg_temp.register('{"namespace_name": "test_marks", "name": "other", "steps": [{"name": "it"}]}');
select count(*) from tasker.request_tasks('test_marks', 'one', array_fill('{}'::jsonb, array[3000]));
call pg_temp.passes();
select count(*) from tasker.request_tasks('test_marks', 'other', array_fill('{}'::jsonb, array[100]));
call pg_temp.passes();
select count(*) from tasker.poll_steps('test_marks', 10, task_names => '{other}');
select count(*) from tasker.poll_steps('test_marks', 10, task_names => '{other}');
select count(*) as of_the_first from tasker.poll_steps('test_marks', 10) p where p.message ->> 'task_name' = 'one';

-- A look for one message finds no other, whatever is there behind it.
select pgmq.create('test_marks_one');
select count(*) from pgmq.send_batch('test_marks_one', array_fill('{}'::jsonb, array[10]));
select tasker._look('test_marks_one', 10, only_msg_id => 3) as one, tasker._look('test_marks_one', 2, after => 8) as behind;
select count(*) from pgmq.set_vt('test_marks_one', 3, 3600);
select (tasker._look('test_marks_one', 10, only_msg_id => 3)).msg_ids as hidden;
select pgmq.delete('test_marks_one', 3);
select (tasker._look('test_marks_one', 10, only_msg_id => 3)).msg_ids as gone;
select pgmq.drop_queue('test_marks_one');

select tasker.drop_namespace('test_marks', true);
select * from tasker.check();
