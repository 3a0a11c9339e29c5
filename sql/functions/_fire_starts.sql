-- Tasks whose run_at has come wait for their start like any other, since then.
create or replace function tasker._fire_starts(pass tasker._pass, task_ids bigint[], at timestamptz)
returns tasker._pass
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  held bigint[];
begin
  with due as materialized (
    select t.task_id, t.namespace_id, t.template_id, t.run_at, t.priority
    from tasker.tasks t
    where t.task_id = any(_fire_starts.task_ids) and t.state = 'pending'
    order by t.task_id
    for no key update skip locked
  ), parked as (
    insert into tasker.waiting (namespace_id, template_id, task_id, since, priority)
    select d.namespace_id, d.template_id, d.task_id, d.run_at, d.priority
    from due d
  )
  select array_agg(d.task_id) into held from due d;

  -- Pending, yet not among those: locked by somebody.
  insert into tasker.timers (fire_at, kind, task_id)
  select at + interval '50 milliseconds', 'start', t.task_id
  from tasker.tasks t
  where t.task_id = any(_fire_starts.task_ids) and t.state = 'pending' and t.task_id <> all(coalesce(held, '{}'));
  if found then
    pass.next_due_at := least(pass.next_due_at, at + interval '50 milliseconds');
  end if;
  return pass;
end $$;
