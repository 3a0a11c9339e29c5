-- check() finds whatever is out of joint.
\getenv folder PG_ABS_SRCDIR
\set helpers :folder '/helpers.sql'
\set ECHO none
\i :helpers
\set ECHO all

select tasker.create_namespace('test_check', max_in_flight => 6) > 0 as created;
call pg_temp.register($$
  namespace_name: test_check
  name: six
  version: 1.0.0
  steps:
    - {name: done}
    - {name: taken}
    - {name: queued}
    - {name: failed, retry: {max_attempts: 3}}
    - {name: broken, retry: {max_attempts: 1}}
    - {name: reported}
    - {name: after, dependencies: [done, queued]}
$$);
-- All that there is at once: steps done, in the queue, with a worker, waiting for a retry, in error, reported, ready without
-- room, pending; tasks pending, delayed, over.
select tasker.set_namespace_limit('test_check', null);
select tasker.request_task('test_check', 'six') as over, tasker.request_task('test_check', 'six') as task \gset
call pg_temp.passes();
select tasker.cancel_task(:over);
call pg_temp.reply(:task, 'done');
call pg_temp.reply(:task, 'failed', 'failure', '{"orchestration_metadata": {"headers": {"retry-after": "3600"}}}');
call pg_temp.reply(:task, 'broken', 'failure');
call pg_temp.passes();
select count(*) from tasker.poll_steps('test_check', step_names => '{taken}');
select tasker.request_task('test_check', 'six', bypass_steps => '{}') as ready \gset
call pg_temp.passes();
select tasker.set_namespace_limit('test_check', 1);
call pg_temp.reply(:ready, 'done');
call pg_temp.reply(:ready, 'queued');
call pg_temp.passes();
select tasker.request_task('test_check', 'six') as pending, tasker.request_task('test_check', 'six', run_at => tasker.clock() + interval '1 hour') as delayed \gset
call pg_temp.passes();
select tasker.complete_step(pg_temp.step(:task, 'reported'), 1);
select pg_temp.task(:over) as over, pg_temp.task(:task) as task, pg_temp.steps(:task) as steps;
select pg_temp.steps(:ready) as ready, pg_temp.task(:pending) as pending, pg_temp.task(:delayed) as delayed;
select * from tasker.check();

create function pg_temp.found_after(corruption text)
returns table (subject text, expected text, found text)
language plpgsql
as $$
declare
  affected integer;
  rows     jsonb;
begin
  begin
    execute corruption;
    get diagnostics affected = row_count;
    rows := (select coalesce(jsonb_agg(to_jsonb(c) order by c.subject, c.id), '[]') from tasker.check() c);
    raise exception using errcode = 'TT000', message = 'undo';
  exception when sqlstate 'TT000' then
    null;
  end;
  if affected = 0 then
    raise exception 'nothing was corrupted';
  end if;
  return query
  select regexp_replace(r.value ->> 'subject', '\m(template|namespace) \d+', '\1 N', 'g'),
    regexp_replace(r.value ->> 'expected', '\m(template|namespace) \d+', '\1 N', 'g'),
    regexp_replace(r.value ->> 'found', '\m(template|namespace) \d+', '\1 N', 'g')
  from jsonb_array_elements(rows) r;
end $$;

select pg_temp.step(:task, 'done') as done, pg_temp.step(:task, 'taken') as taken, pg_temp.step(:task, 'queued') as queued,
  pg_temp.step(:task, 'failed') as failed, pg_temp.step(:task, 'broken') as broken, pg_temp.step(:task, 'reported') as reported,
  pg_temp.step(:task, 'after') as after, pg_temp.step(:ready, 'after') as ready_after \gset

-- Counters.
select * from pg_temp.found_after(format('update tasker.tasks set active_steps = active_steps + 1 where task_id = %s', :task));
select * from pg_temp.found_after(format('update tasker.tasks set active_steps = 0 where task_id = %s', :task));
select * from pg_temp.found_after(format('update tasker.tasks set error_steps = 0 where task_id = %s', :task));
select * from pg_temp.found_after(format('update tasker.steps set remaining_parents = 0 where step_id = %s', :after));
select * from pg_temp.found_after(format('update tasker.steps set remaining_parents = 2 where step_id = %s', :after));
select * from pg_temp.found_after(format('delete from tasker.steps where step_id = %s', :broken));
select * from pg_temp.found_after(format('insert into tasker.in_flight_deltas select namespace_id, template_id, 1 from tasker.tasks where task_id = %s', :task));
select * from pg_temp.found_after(format('delete from tasker.in_flight_deltas where namespace_id = (select namespace_id from tasker.tasks where task_id = %s)', :task));

-- States.
select * from pg_temp.found_after(format('update tasker.steps set state = ''complete'', finished_at = now() where step_id = %s', :queued));
select * from pg_temp.found_after(format('update tasker.tasks set state = ''complete'', finished_at = now() where task_id = %s', :task));
select * from pg_temp.found_after(format('update tasker.tasks set state = ''cancelled'', finished_at = now() where task_id = %s', :task));
select * from pg_temp.found_after(format('update tasker.tasks set state = ''pending'', started_at = null where task_id = %s', :task));

-- Work that nothing would wake.
select * from pg_temp.found_after(format('delete from tasker.waiting where task_id = %s', :pending));
select * from pg_temp.found_after(format('delete from tasker.waiting where step_id = %s', :ready_after));
select * from pg_temp.found_after(format('delete from tasker.timers where task_id = %s', :delayed));
select * from pg_temp.found_after(format('delete from tasker.timers where kind = ''retry'' and %s = any(step_ids)', :failed));
select * from pg_temp.found_after(format('delete from tasker.timers where kind = ''lease'' and %s = any(step_ids)', :taken));
select * from pg_temp.found_after(format('update tasker.timers set step_ids = array_replace(step_ids, %1$s, 1) where kind = ''queued'' and %1$s = any(step_ids)', :queued));
select * from pg_temp.found_after(format('update tasker.timers set attempts = array_fill(7, array[cardinality(attempts)]) where kind = ''lease'' and %s = any(step_ids)', :taken));
select * from pg_temp.found_after('delete from pgmq.q_orchestration_step_results');

-- Work that waits and must not.
select * from pg_temp.found_after(format('insert into tasker.waiting select namespace_id, template_id, task_id, %s, created_at, priority from tasker.tasks where task_id = %s', :queued, :task));
select * from pg_temp.found_after(format('insert into tasker.waiting select namespace_id, template_id, task_id, null, created_at, priority from tasker.tasks where task_id = %s', :over));
select * from pg_temp.found_after(format('insert into tasker.waiting select namespace_id, template_id, task_id, %s, created_at, priority from tasker.tasks where task_id = %s', :done, :task));
select * from pg_temp.found_after(format('insert into tasker.waiting select namespace_id, template_id, 99999999999, null, created_at, priority from tasker.tasks where task_id = %s', :task));
select * from pg_temp.found_after(format('update tasker.waiting set priority = 4 where task_id = %s', :pending));
select * from pg_temp.found_after(format('update tasker.waiting set claimed_by = ''nobody'', claim_expires_at = now() where task_id = %s', :pending));
select * from pg_temp.found_after(format('insert into tasker.claims values (%s, ''nobody'', now(), now())', :over));

-- Templates.
select * from pg_temp.found_after(format('update tasker.template_steps set parent_count = 1 where name = ''after'' and template_id = (select template_id from tasker.tasks where task_id = %s)', :task));
select * from pg_temp.found_after(format('update tasker.task_templates set namespace = ''elsewhere'' where template_id = (select template_id from tasker.tasks where task_id = %s)', :task));
select * from pg_temp.found_after(format('update tasker.tasks set template_id = 99999999 where task_id = %s', :pending));

-- None of it was left behind.
select * from tasker.check();
