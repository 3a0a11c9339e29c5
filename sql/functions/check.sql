create or replace function tasker.check()
returns table (subject text, id bigint, expected text, found text)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
begin
  return query select * from tasker._check_templates();
  return query select * from tasker._check_counters();
  return query select * from tasker._check_waiting();
  return query select * from tasker._check_timers();
  return query select * from tasker._check_reports();
end $$;
comment on function tasker.check() is
$$Recomputes every counter and looks for work that nothing would wake; no rows = all is sound. A row says what (subject, with the id of the task, step or namespace), what it should be (expected) and what it is (found). One snapshot, so it may run beside the engine; it reads all tasks and steps and takes its time.
Steps that are enqueued while their message is gone from the queue are no fault: a worker may have taken it, and a lost one is noticed by its timer.$$;
