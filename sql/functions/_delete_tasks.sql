-- Deletes tasks, which the caller holds locked, with all that belongs to them.
create or replace function tasker._delete_tasks(task_ids bigint[])
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
begin
  delete from tasker.waiting w where w.task_id = any(_delete_tasks.task_ids);
  delete from tasker.claims c where c.task_id = any(_delete_tasks.task_ids);
  delete from tasker.leases l using unnest(_delete_tasks.task_ids) i(task_id)
  where l.step_id between i.task_id << 16 and (i.task_id << 16) + 65535;
  delete from tasker.step_transitions st using unnest(_delete_tasks.task_ids) i(task_id)
  where st.step_id between i.task_id << 16 and (i.task_id << 16) + 65535;
  delete from tasker.steps s using unnest(_delete_tasks.task_ids) i(task_id)
  where s.step_id between i.task_id << 16 and (i.task_id << 16) + 65535;
  delete from tasker.task_transitions tt where tt.task_id = any(_delete_tasks.task_ids);
  delete from tasker.tasks t where t.task_id = any(_delete_tasks.task_ids);
end $$;
