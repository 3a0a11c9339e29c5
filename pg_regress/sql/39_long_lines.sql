-- Long lines of waiting work: views that are polled count a part of them, estimate the rest, and say so. Ends are exact.
\getenv folder PG_ABS_SRCDIR
\set helpers :folder '/helpers.sql'
\set ECHO none
\i :helpers
\set ECHO all

select tasker.create_namespace('test_long_lines', max_in_flight => null) as namespace_id \gset
call pg_temp.register($yaml$
  namespace_name: test_long_lines
  name: it
  version: 1.0.0
  steps: [{name: it}]
$yaml$);
select template_id from tasker.task_templates where namespace_id = :namespace_id \gset

create function pg_temp.rows_read(query text)
returns bigint
language plpgsql
as $$
declare
  before bigint;
begin
  select t.seq_tup_read + t.idx_tup_fetch into before from pg_stat_xact_user_tables t where t.relid = 'tasker.waiting'::regclass;
  execute 'select count(*) from (select * from ' || query || ' offset 0) q';
  return (select t.seq_tup_read + t.idx_tup_fetch - before from pg_stat_xact_user_tables t where t.relid = 'tasker.waiting'::regclass);
end $$;

-- 180,000 tasks of class 2 and 20,000 steps of class 4, mixed, each class 25 seconds long; 100 tasks of class 0, behind them all.
-- Of these 10 are claimed, and 5 set aside.
begin;
insert into tasker.waiting (namespace_id, template_id, task_id, step_id, since, priority)
select :namespace_id, :template_id, 1000000000 + n, case when n % 10 = 0 then (1000000000 + n) << 16 | 1 end,
  tasker.clock() - interval '25 s' + n * interval '0.1 ms', case when n % 10 = 0 then 4 else 2 end
from generate_series(1, 200000) n;
insert into tasker.waiting (namespace_id, template_id, task_id, since, priority, claimed_by, claim_expires_at, fault)
select :namespace_id, :template_id, 1000200000 + n, tasker.clock(), 0, case when n <= 10 then 'somebody' when n <= 15 then 'set aside' end,
  case when n <= 15 then tasker.clock() + (n - 5) * interval '1 s' end, case when n > 10 and n <= 15 then 'a fault' end
from generate_series(1, 100) n;

-- What is short is counted even beside long lines.
select p.priority, abs(p.waiting_tasks / (case p.priority when 2 then 180000 when 0 then 100 end)::numeric - 1) < 0.3 as tasks,
  abs(p.waiting_steps / (case p.priority when 4 then 20000 end)::numeric - 1) < 0.3 as steps,
  round(p.lowest_computed_priority::numeric, 4) as lowest, round(p.average_computed_priority::numeric, 1) as average,
  round(p.highest_computed_priority::numeric, 4) as highest, p.oldest_age, p.estimated
from tasker.priority_distribution p
where p.namespace = 'test_long_lines'
order by p.priority;
select p.waiting_tasks from tasker.priority_distribution p where p.namespace = 'test_long_lines' and p.priority = 0;
select s.waiting_tasks between 130000 and 230000 as tasks, s.waiting_steps between 13000 and 27000 as steps, s.claimed, s.set_aside,
  s.oldest_waiting_age, s.estimated
from tasker.namespace_status s
where s.namespace = 'test_long_lines';
select h.waiting_tasks between 130000 and 230000 as tasks, h.waiting_steps between 13000 and 27000 as steps, h.claimed, h.set_aside,
  h.stale_claims, tasker.clock() - h.oldest_waiting_since as oldest, h.estimated
from tasker.get_system_health_counts() h;
select m.waiting_tasks between 130000 and 230000 as tasks, m.waiting_steps between 13000 and 27000 as steps, m.oldest_waiting_seconds
from tasker.get_analytics_metrics(namespace => 'test_long_lines') m;

-- None reads it all; the lists read their head, or what they show.
analyze tasker.waiting;
select q.query, pg_temp.rows_read(q.query) <= q.at_most as few
from (values
  ('tasker.priority_distribution', 70000), ('tasker.namespace_status', 70000), ('tasker.get_system_health_counts()', 70000),
  ('tasker.get_analytics_metrics()', 70000), ('tasker.escalated_tasks', 10), ('tasker.stale_claims', 100),
  ('tasker.ready_tasks limit 100', 110), ('tasker.ready_tasks r where r.task_id = 1000000007', 1)) q(query, at_most);

-- What escalates is found by its age alone: in class 0 after 30 seconds, in class 2 after 120, in class 4 after 300.
call pg_temp.later('29.999 s');
select count(*) from tasker.escalated_tasks;
call pg_temp.later('1 ms');
select e.priority, e.claim_status, count(*), min(e.escalation) from tasker.escalated_tasks e group by 1, 2 order by 1, 2;
-- All of the longest line has escalated: its first are there at once.
call pg_temp.later('2 minutes');
select pg_temp.rows_read('tasker.escalated_tasks limit 200') <= 230 as few;
rollback;

-- Few rows are counted, and nothing is estimated.
select bool_or(estimated) as estimated from tasker.namespace_status;
select bool_or(estimated) as estimated from tasker.queue_status;
select estimated from tasker.get_system_health_counts();
vacuum tasker.waiting;
select tasker.drop_namespace('test_long_lines', force => true);
select * from tasker.check();
