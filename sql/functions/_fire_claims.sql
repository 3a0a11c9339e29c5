-- Ends what _expire_claims() ends; looks again soon at tasks that somebody holds locked.
create or replace function tasker._fire_claims(pass tasker._pass, task_ids bigint[], at timestamptz)
returns tasker._pass
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  held constant bigint[] := tasker._expire_claims(_fire_claims.task_ids, at);
begin
  insert into tasker.timers (fire_at, kind, task_id)
  select at + interval '50 milliseconds', 'claim', t.task_id
  from tasker.tasks t
  where t.task_id = any(_fire_claims.task_ids) and t.task_id <> all(coalesce(held, '{}'));
  if found then
    pass.next_due_at := least(pass.next_due_at, at + interval '50 milliseconds');
  end if;
  return pass;
end $$;
