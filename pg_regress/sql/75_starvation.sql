-- Nothing starves: under urgent load that never ends and is more than can be served, a task of any class goes out within its T, or,
-- if that is later, when all that is older and stands at 6 has been served.
\getenv folder PG_ABS_SRCDIR
\set helpers :folder '/helpers.sql'
\set ECHO none
\i :helpers
\set ECHO all

select tasker.create_namespace('test_starvation', max_in_flight => 2) > 0 as created;
call pg_temp.register('{"namespace_name": "test_starvation", "name": "urgent", "steps": [{"name": "it"}]}');
call pg_temp.register('{"namespace_name": "test_starvation", "name": "victim", "steps": [{"name": "it"}]}');

create procedure pg_temp.urgent(number integer)
language sql
as $$ select tasker.request_tasks('test_starvation', 'urgent', array_fill('{}'::jsonb, array[number]), priority => 4) $$;

-- How long a task waits for its message. Every 30 seconds both places become free and three more urgent tasks come. When it
-- is requested, `older` urgent ones stand at 6 already.
create function pg_temp.wait_of(class integer, older integer)
returns interval
language plpgsql
as $$
declare
  victim bigint;
  waited interval;
  served bigint;
begin
  call pg_temp.quiet();
  perform tasker.pause_namespace('test_starvation');
  call pg_temp.urgent(2 + older);
  call pg_temp.later('10 minutes');
  perform tasker.resume_namespace('test_starvation');
  call pg_temp.passes();
  victim := tasker.request_task('test_starvation', 'victim', priority => class);
  for turn in 1 .. 60 loop
    call pg_temp.later('30 seconds');
    call pg_temp.urgent(3);
    for served in
      select s.task_id
      from tasker.steps s
      join tasker.tasks t using (task_id)
      join tasker.namespaces n using (namespace_id)
      where n.name = 'test_starvation' and s.state = 'enqueued'
    loop
      call pg_temp.reply(served, 'it');
    end loop;
    perform tasker.orchestrate();
    select s.enqueued_at - t.created_at into waited
    from tasker.tasks t
    left join tasker.steps s using (task_id)
    where t.task_id = victim;
    exit when waited is not null;
  end loop;
  return waited;
end $$;

-- 40 older ones take 20 turns of two, ten minutes: no T is longer. The turn after that is the task's.
create temp table class (p smallint, name text, t interval);
insert into class values (0, 'background', '3 min'), (1, 'low', '5 min'), (2, 'normal', '8 min'), (3, 'high', '9 min'), (4, 'urgent', '10 min');
select c.name, o.older, w.waited, b.bound, w.waited <= b.bound as holds
from class c
cross join (values (0), (12), (40)) o(older)
cross join lateral (select greatest(c.t, (o.older / 2 + 1) * interval '30 seconds') as bound) b
cross join lateral (select pg_temp.wait_of(c.p, o.older) as waited) w
order by c.p, o.older;

call pg_temp.quiet();
select * from tasker.check();
