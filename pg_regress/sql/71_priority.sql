-- What waits goes out in order of a priority that rises with age.
\getenv folder PG_ABS_SRCDIR
\set helpers :folder '/helpers.sql'
\set ECHO none
\i :helpers
\set ECHO all

-- p + (6 - p) * least(age / T, 1): the class itself at first, half-way to 6 after half of T, 6 from T on.
create temp table class (p smallint, name text, t interval);
insert into class values (0, 'background', '3 min'), (1, 'low', '5 min'), (2, 'normal', '8 min'), (3, 'high', '9 min'), (4, 'urgent', '10 min');
select c.name,
  tasker._computed_priority(c.p, now.at + interval '1 hour', now.at) as future,
  tasker._computed_priority(c.p, now.at, now.at) as fresh,
  tasker._computed_priority(c.p, now.at - c.t / 2, now.at) as half,
  tasker._computed_priority(c.p, now.at - c.t + interval '1 second', now.at) < 6 as just_below,
  tasker._computed_priority(c.p, now.at - c.t, now.at) as full,
  tasker._computed_priority(c.p, now.at - interval '10 years', now.at) as beyond
from class c, (select tasker.clock() as at) now
order by c.p;

-- Lower classes rise faster, and pass higher ones of the same age on their way: the first whole second at which they are ahead.
select low.name as lower, high.name as higher, min(age) filter (where round(tasker._computed_priority(low.p, now.at - age, now.at)::numeric, 6)
  > round(tasker._computed_priority(high.p, now.at - age, now.at)::numeric, 6)) as ahead
from class low
join class high on high.p > low.p
cross join (select tasker.clock() as at) now
cross join lateral (select make_interval(secs => s) as age from generate_series(0, 600) s) ages
group by low.p, low.name, high.p, high.name
order by low.p, high.p;

call pg_temp.register($$
  namespace_name: test_priority
  name: one
  version: 1.0.0
  steps: [{name: it}]
$$);
call pg_temp.register($$
  namespace_name: test_priority
  name: another
  version: 1.0.0
  steps: [{name: it}]
$$);
call pg_temp.register($$
  namespace_name: test_priority
  name: fan
  version: 1.0.0
  steps:
    - {name: root}
    - {name: a, dependencies: [root], retry: {max_attempts: 3, backoff: none, backoff_base_ms: 1000, max_backoff_ms: 1000}}
    - {name: b, dependencies: [root]}
$$);
create procedure pg_temp.ask(template text, priority integer, label text)
language sql
as $$ select tasker.request_task('test_priority', template, priority => priority, reason => label) $$;

-- Classes, ages and templates mixed: an old background task is ahead of fresh urgent ones; within a class the older goes
-- first, whatever its template.
select tasker.pause_namespace('test_priority');
call pg_temp.ask('one', 0, 'old background');
call pg_temp.later('10 minutes');
call pg_temp.ask('another', 2, 'normal');
call pg_temp.ask('one', 0, 'background');
call pg_temp.ask('one', 4, 'urgent');
call pg_temp.ask('another', 1, 'low');
call pg_temp.ask('one', 3, 'high');
call pg_temp.later('10 seconds');
call pg_temp.ask('another', 4, 'later urgent');
call pg_temp.ask('one', 2, 'later normal');
call pg_temp.later('10 seconds');
call pg_temp.ask('another', 2, 'still later normal');
call pg_temp.ask('one', 4, 'still later urgent');
call pg_temp.passes();
select count(*) from pg_temp.queue('test_priority');
select tasker.resume_namespace('test_priority');
call pg_temp.passes();
select reason from pg_temp.queue('test_priority');
call pg_temp.quiet();

-- At 6 all classes are one: the oldest goes first, and ahead of everything that is fresh. What was asked for at the same
-- time goes in the order of the requests.
select tasker.pause_namespace('test_priority');
call pg_temp.ask('one', 1, '1st');
call pg_temp.later('1 second');
call pg_temp.ask('another', 4, '2nd');
call pg_temp.ask('one', 4, '3rd');
call pg_temp.later('1 second');
call pg_temp.ask('one', 0, '4th');
call pg_temp.later('1 second');
call pg_temp.ask('another', 3, '5th');
call pg_temp.later('10 minutes');
call pg_temp.ask('one', 4, 'fresh');
select tasker.resume_namespace('test_priority');
call pg_temp.passes();
select reason from pg_temp.queue('test_priority');
call pg_temp.quiet();

-- One place. Served one by one, it is the same order; and what comes later is judged with the rest.
select tasker.set_namespace_limit('test_priority', 1);
create function pg_temp.serve(status text default 'success', out served text)
language plpgsql
as $$
declare
  step record;
begin
  select t.task_id, t.reason, ts.name as step_name into step
  from tasker.tasks t
  join tasker.steps s on s.step_id between t.task_id << 16 and (t.task_id << 16) + 65535
  join tasker.template_steps ts using (template_step_id)
  where t.finished_at is null and s.state = 'enqueued';
  served := step.reason || ' ' || step.step_name;
  call pg_temp.reply(step.task_id, step.step_name, status);
  perform tasker.orchestrate();
end $$;
call pg_temp.ask('one', 4, 'running');
call pg_temp.passes();
call pg_temp.ask('one', 0, 'background');
call pg_temp.ask('another', 2, 'normal');
call pg_temp.ask('one', 3, 'high');
select * from pg_temp.serve();
call pg_temp.ask('another', 4, 'urgent');
select * from pg_temp.serve();
call pg_temp.ask('another', 3, 'another high');
select * from pg_temp.serve();
select * from pg_temp.serve();
select * from pg_temp.serve();
select * from pg_temp.serve();
select * from pg_temp.serve();

-- Steps inherit the age of their task: one that has started goes on before one of its class that has not, and before
-- its other steps come to be. A retry that is due goes first as well. Only what is more urgent gets in between.
call pg_temp.ask('fan', 2, 'first');
call pg_temp.later('1 second');
call pg_temp.ask('fan', 2, 'second');
call pg_temp.later('1 second');
call pg_temp.ask('one', 2, 'third');
call pg_temp.passes();
select * from pg_temp.serve();
call pg_temp.ask('one', 4, 'urgent');
select * from pg_temp.serve('failure');
select * from pg_temp.serve();
call pg_temp.later('1 second');
select * from pg_temp.serve();
select * from pg_temp.serve();
select * from pg_temp.serve();
select * from pg_temp.serve();
select * from pg_temp.serve();
select * from pg_temp.serve();

-- A delayed task counts its age from its time, not from its request.
select tasker.request_task('test_priority', 'one', reason => 'delayed', run_at => tasker.clock() + interval '5 minutes') > 0 as requested;
call pg_temp.ask('one', 4, 'running');
call pg_temp.passes();
call pg_temp.later('4 minutes');
call pg_temp.ask('one', 2, 'earlier');
call pg_temp.later('2 minutes');
call pg_temp.ask('one', 2, 'later');
call pg_temp.passes();
select * from pg_temp.serve();
select * from pg_temp.serve();
select * from pg_temp.serve();
select * from pg_temp.serve();

-- Nothing starves: under urgent load without end that takes the only place as fast as it is free, a background task is
-- served when it has waited for its T.
call pg_temp.ask('one', 4, 'urgent');
call pg_temp.passes();
call pg_temp.ask('one', 0, 'background');
create temp table served (n integer generated always as identity, label text, at timestamptz);
do $$
begin
  perform tasker.request_tasks('test_priority', 'one', array_fill('{}'::jsonb, array[20]), priority => 4, reason => 'urgent');
  for turn in 1 .. 100 loop
    call pg_temp.later('10 seconds');
    call pg_temp.ask('another', 4, 'urgent');
    insert into served (label, at) select served, tasker.clock() from pg_temp.serve();
  end loop;
end $$;
select count(*) as served, count(*) filter (where label = 'background it') as background,
  max(at) filter (where label = 'background it') - min(at) <= (select t from class where p = 0) as within_its_t
from served;

select * from tasker.check();
