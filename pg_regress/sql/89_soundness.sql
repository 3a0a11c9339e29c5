-- Rows of tasks, steps and timers that make no sense cannot be written, whoever writes them.
\getenv folder PG_ABS_SRCDIR
\set helpers :folder '/helpers.sql'
\set ECHO none
\i :helpers
\set ECHO all
call pg_temp.register($$
  namespace_name: test_sound
  name: one
  version: 1.0.0
  steps: [{name: a}, {name: b, dependencies: [a]}]
$$);
select tasker.request_task('test_sound', 'one') as task \gset
call pg_temp.passes();
create temp table attempt (n integer generated always as identity, change text, outcome text);
insert into attempt (change) values
  ('steps set state = ''done'''), ('steps set state = null'), ('steps set step_id = step_id + 65536'), ('steps set attempts = -1'),
  ('steps set max_attempts = 0'), ('steps set remaining_parents = -1'), ('steps set attempts = 0'), ('steps set enqueued_at = null'),
  ('steps set remaining_parents = 1'), ('steps set next_retry_at = now()'), ('steps set state = ''waiting_for_retry'''),
  ('steps set reported_at = now()'), ('steps set reported_status = ''success'''),
  ('steps set reported_at = now(), reported_status = ''maybe'''), ('steps set finished_at = now()'),
  ('steps set state = ''complete'''), ('steps set worker_id = ''hand'''),
  ('tasks set state = ''done'''), ('tasks set priority = 5'), ('tasks set active_steps = -1'), ('tasks set error_steps = -1'),
  ('tasks set claim_timeout_seconds = 0'), ('tasks set context = ''[]'''), ('tasks set finished_at = now()'),
  ('tasks set state = ''complete'''), ('tasks set state = ''pending'''), ('tasks set reason = ''hand'''),
  ('timers set kind = ''sometimes'''), ('timers set kind = null'), ('timers set task_id = 1'), ('timers set step_ids = null'),
  ('timers set attempts = ''{1,2,3}'''), ('timers set fire_at = fire_at + interval ''1 day''');
do $$
declare
  one record;
  task bigint := (select max(t.task_id) from tasker.tasks t);
begin
  for one in select * from attempt order by n loop
    begin
      execute format('update tasker.%s where %s = %s%s', one.change,
        case when one.change like 'timers%' then 'step_ids[1] >> 16' else 'task_id' end, task,
        case when one.change like 'steps%' then ' and state = ''enqueued''' end);
      update attempt a set outcome = 'written' where a.n = one.n;
    exception when check_violation or not_null_violation then
      update attempt a set outcome = sqlstate || ' ' || sqlerrm where a.n = one.n;
    end;
  end loop;
end $$;
select change, outcome from attempt order by n;
select state, count(*) from tasker.steps where task_id = :task group by state order by state;
select count(*) from tasker.cancel_tasks(namespace => 'test_sound', dry_run => false);
select tasker.drop_namespace('test_sound', true);
select * from tasker.check();
