-- Locks tasks in the order of their ids and waits for those that somebody else has locked, at most 50 ms each, or as long as
-- the caller's own lock_timeout (`patience`) allows, if that is less; then it locks none. For a worker's call that holds nothing
-- else yet: another worker's call, or a pass, is over by then, and a transaction that stays open stops nobody.
create or replace function tasker._wait_for_tasks(task_ids bigint[], patience interval)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
set lock_timeout = '50ms'
as $$
#variable_conflict error
begin
  if patience > interval '0' and patience < interval '50 milliseconds' then
    perform set_config('lock_timeout', format('%sms', ceil(extract(epoch from patience) * 1000)), true);
  end if;
  perform from tasker.tasks t where t.task_id = any(_wait_for_tasks.task_ids) order by t.task_id for no key update;
exception when lock_not_available then
  null;
end $$;
