-- Included by the tests from 40 on: the settable clock, a word for each thing that workers do, and answers without ids
-- and times. All of it lives in pg_temp. What earlier tests left unfinished is cancelled, so that nothing of it counts.

\set SHOW_CONTEXT never
set client_min_messages = warning;
set datestyle = 'ISO, YMD';
set intervalstyle = 'postgres';
set timezone = 'UTC';
set tasker.fake_now = '2040-01-01 00:00:00+00';

create procedure pg_temp.later(by interval)
language sql
as $$ select set_config('tasker.fake_now', (tasker.clock() + by)::text, false) $$;

create procedure pg_temp.register(definition text)
language sql
as $$ select tasker.register_template(definition) $$;

-- One pass, with what it did but for the timers: those of earlier tests fire too.
create function pg_temp.pass(
  out accepted integer, out settled integer, out late integer, out rejected integer, out started integer,
  out enqueued integer, out finished integer)
language sql
as $$ select p.accepted, p.settled, p.late, p.rejected, p.started, p.enqueued, p.finished from tasker.orchestrate() p $$;

create procedure pg_temp.passes()
language sql
as $$ select tasker.run_until_idle() $$;

create function pg_temp.step(task bigint, step_name text)
returns bigint
language sql stable
as $$
  select (t.task_id << 16) + 1 + ts.step_index
  from tasker.tasks t
  join tasker.template_steps ts on ts.template_id = t.template_id
  where t.task_id = task and ts.name = step_name
$$;

create function pg_temp.attempt(task bigint, step_name text)
returns integer
language sql stable
as $$ select s.attempts from tasker.steps s where s.step_id = pg_temp.step(task, step_name) $$;

create procedure pg_temp.send_result(message jsonb)
language sql
as $$ select pgmq.send('orchestration_step_results', message) $$;

-- A plain worker takes the current attempt of a step off its queue and sends its result.
create procedure pg_temp.reply(task bigint, step_name text, status text default 'success', rest jsonb default '{}')
language sql
as $$
  select pgmq.delete(n.name || '_queue', s.msg_id)
  from tasker.steps s
  join tasker.tasks t using (task_id)
  join tasker.namespaces n using (namespace_id)
  where s.step_id = pg_temp.step(task, step_name);
  call pg_temp.send_result(jsonb_build_object('step_id', pg_temp.step(task, step_name),
    'attempt', pg_temp.attempt(task, step_name), 'status', status) || rest)
$$;

-- A plain worker takes the messages of a namespace off its queue and says no more.
create procedure pg_temp.take(namespace text, qty integer default 1000)
language sql
as $$ select pgmq.pop(namespace || '_queue', qty) $$;

create function pg_temp.task(task bigint)
returns text
language sql stable
as $$ select t.state from tasker.tasks t where t.task_id = task $$;

-- "a complete, b enqueued 2": the states of a task's steps in template order, with the attempt from the second on.
create function pg_temp.steps(task bigint)
returns text
language sql stable
as $$
  select string_agg(ts.name || ' ' || s.state || case when s.attempts > 1 then ' ' || s.attempts else '' end, ', ' order by s.step_id)
  from tasker.steps s
  join tasker.template_steps ts on ts.template_step_id = s.template_step_id
  where s.step_id between task << 16 and (task << 16) + 65535
$$;

-- What is in the queue of a namespace, in its order: step, attempt, and the task's reason where the request gave one.
create function pg_temp.queue(namespace text)
returns table (step_name text, attempt integer, reason text)
language plpgsql
as $$
begin
  return query execute format(
    'select q.message ->> ''step_name'', (q.message ->> ''attempt'')::integer, t.reason
     from pgmq.%I q
     left join tasker.tasks t on t.task_id = (q.message ->> ''task_id'')::bigint
     order by q.msg_id', 'q_' || namespace || '_queue');
end $$;

-- The sum of the in-flight deltas of a namespace, and in how many rows it stands.
create function pg_temp.in_flight(namespace text, out steps bigint, out rows bigint)
language sql
as $$
  select coalesce(sum(d.delta), 0), count(d.delta)
  from tasker.namespaces n
  left join tasker.in_flight_deltas d on d.namespace_id = n.namespace_id
  where n.name = namespace
$$;

create procedure pg_temp.quiet()
language plpgsql
as $$
begin
  if exists (select from tasker.identity) then
    perform tasker.cancel_task(t.task_id) from tasker.tasks t where t.finished_at is null;
    perform tasker.run_until_idle();
  end if;
end $$;
call pg_temp.quiet();
