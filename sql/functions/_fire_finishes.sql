-- Tasks that could not be finished are tried again, in the last phase of the pass.
create or replace function tasker._fire_finishes(pass tasker._pass, task_ids bigint[], at timestamptz)
returns tasker._pass
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  held bigint[];
begin
  select array_agg(t.task_id) into held
  from (
    select t.task_id
    from tasker.tasks t
    where t.task_id = any(_fire_finishes.task_ids) and t.state = 'in_progress'
    order by t.task_id
    for no key update skip locked
  ) t;
  pass.over := pass.over || held;

  insert into tasker.timers (fire_at, kind, task_id)
  select at + interval '50 milliseconds', 'finish', t.task_id
  from tasker.tasks t
  where t.task_id = any(_fire_finishes.task_ids) and t.state = 'in_progress' and t.task_id <> all(coalesce(held, '{}'));
  if found then
    pass.next_due_at := least(pass.next_due_at, at + interval '50 milliseconds');
  end if;
  return pass;
end $$;
