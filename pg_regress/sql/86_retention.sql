-- Finished tasks are kept for as long as tasker.retention says, and longer where a dead letter names them.
\getenv folder PG_ABS_SRCDIR
\set helpers :folder '/helpers.sql'
\set ECHO none
\i :helpers
\set ECHO all

call pg_temp.register('{"namespace_name": "test_retention", "name": "one", "steps": [{"name": "a", "retry": {"max_attempts": 1}}]}');
create temp view kept as
select t.reason, t.state, count(*) as tasks, sum((select count(*) from tasker.steps s where s.task_id = t.task_id)) as steps,
  sum((select count(*) from tasker.step_transitions s where s.step_id >> 16 = t.task_id)) as step_transitions
from tasker.tasks t join tasker.namespaces n using (namespace_id)
where n.name = 'test_retention'
group by t.reason, t.state
order by min(t.task_id);
select tasker.request_task('test_retention', 'one', reason => 'done', idempotency_key => 'k') as done,
  tasker.request_task('test_retention', 'one', reason => 'failed') as failed, tasker.request_task('test_retention', 'one', reason => 'open') as open \gset
call pg_temp.passes();
call pg_temp.reply(:done, 'a');
call pg_temp.reply(:failed, 'a', 'failure');
call pg_temp.passes();

-- Off by default.
show tasker.retention;
call pg_temp.later('1 year');
call pg_temp.passes();
select * from kept;

-- Not before its time, counted from the end of the task; never what is open or has a dead letter.
set tasker.retention = '400 d';
call pg_temp.passes();
select * from kept;
call pg_temp.later('36 days');
call pg_temp.passes();
select * from kept;

-- The key of what is gone is free again.
select tasker.request_task('test_retention', 'one', reason => 'again', idempotency_key => 'k') > :open as new;

-- Page by page: more than one page's tasks go in one idle stretch.
select count(*) from tasker.request_tasks('test_retention', 'one', array_fill('{}'::jsonb, array[500]));
do $$
declare
  task bigint;
begin
  perform tasker.run_until_idle();
  for task in select t.task_id from tasker.tasks t join tasker.namespaces n using (namespace_id) where n.name = 'test_retention' and t.state in ('pending', 'in_progress') and t.reason is null loop
    perform tasker.cancel_task(task);
  end loop;
end $$;
select * from kept;
call pg_temp.later('500 days');
call pg_temp.passes();
select * from kept;
select * from tasker.check();
