-- Locks tasks in the order of their ids and waits for those that somebody else has locked: 50 ms for each, or as long as the
-- caller's own lock_timeout (`patience`) says where it has one. After that it locks none. For a worker's call that holds
-- nothing else yet: another worker's call, or a pass, is over by then, and a transaction that stays open stops nobody.
create or replace function tasker._wait_for_tasks(task_ids bigint[], patience text)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
set lock_timeout = '50ms'
as $$
#variable_conflict error
begin
  if _wait_for_tasks.patience <> '0' then
    perform set_config('lock_timeout', _wait_for_tasks.patience, true);
  end if;
  perform from tasker.tasks t where t.task_id = any(_wait_for_tasks.task_ids) order by t.task_id for no key update;
exception when lock_not_available then
  null;
end $$;
