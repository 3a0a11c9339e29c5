-- limits.max_in_flight of a template holds beside the namespace's own.
\getenv folder PG_ABS_SRCDIR
\set helpers :folder '/helpers.sql'
\set ECHO none
\i :helpers
\set ECHO all

call pg_temp.register('{"namespace_name": "test_limits", "name": "limited", "limits": {"max_in_flight": 2}, "steps": [{"name": "a"}, {"name": "b"}, {"name": "c", "dependencies": ["a"]}]}');
call pg_temp.register('{"namespace_name": "test_limits", "name": "free", "steps": [{"name": "a"}]}');
create temp view in_flight as
select tt.name, count(*)
from tasker.steps s
join tasker.tasks t using (task_id)
join tasker.task_templates tt using (template_id)
join tasker.namespaces n on n.namespace_id = t.namespace_id
where n.name = 'test_limits' and s.state in ('enqueued', 'in_progress')
group by tt.name
order by tt.name;

-- Ten limited tasks ahead of three free ones: two steps of the first, all of the second.
select count(*) from tasker.request_tasks('test_limits', 'limited', array_fill('{}'::jsonb, array[10]), priority => 4);
select count(*) from tasker.request_tasks('test_limits', 'free', array_fill('{}'::jsonb, array[3]), priority => 0);
call pg_temp.passes();
select * from in_flight;
select * from tasker.check();

-- One that ends makes room for one, and the child that it makes ready is among those that wait for it.
select tasker.complete_step(step_id, attempt) from tasker.poll_steps('test_limits', 1, task_names => '{limited}');
call pg_temp.passes();
select * from in_flight;
select * from tasker.check();

-- The smaller of the two limits counts.
select tasker.set_namespace_limit('test_limits', 4);
select count(*) from (select tasker.complete_step(step_id, attempt) from tasker.poll_steps('test_limits', 10)) c;
call pg_temp.passes();
select * from in_flight;
select count(*) from tasker.request_tasks('test_limits', 'free', array_fill('{}'::jsonb, array[3]), priority => 0);
call pg_temp.passes();
select * from in_flight;

-- Each step of the backlog comes to its turn, never more than two at a time.
do $$
declare
  most integer := 0;
  now_ integer;
begin
  for i in 1 .. 100 loop
    perform tasker.run_until_idle();
    select coalesce(sum(count), 0) into now_ from in_flight where name = 'limited';
    most := greatest(most, now_);
    exit when now_ = 0;
    perform tasker.complete_step(p.step_id, p.attempt) from tasker.poll_steps('test_limits', 10) p;
  end loop;
  raise warning 'at most % in flight', most;
end $$;
select t.state, count(*)
from tasker.tasks t join tasker.namespaces n using (namespace_id)
where n.name = 'test_limits'
group by t.state;
select * from tasker.check();
