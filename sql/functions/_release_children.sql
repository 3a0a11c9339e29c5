-- Tells the children of steps that are over (as _hold_children found them) that one parent less is missing, and the tasks
-- how many steps are active now. Returns the tasks with nothing active left. The caller holds the tasks and the children
-- locked. A child that became ready keeps its old remaining_parents: enqueueing (or parking) it is the one update that it
-- gets.
create or replace function tasker._release_children(parents bigint[], ready bigint[], unready bigint[], still_missing integer[])
returns bigint[]
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  over    bigint[];
  written boolean;
begin
  if unready is not null then
    written := tasker._write_remaining_parents(unready, still_missing);
  end if;

  -- In a chain the one that ends and the one that becomes ready cancel out, and nothing changes.
  if tasker._are_of_same_tasks(_release_children.parents, _release_children.ready) then
    return null;
  end if;
  with change as (
    select x.task_id, sum(x.active) as active
    from (
      select p >> 16, -1 from unnest(_release_children.parents) p
      union all
      select r >> 16, 1 from unnest(_release_children.ready) r
    ) x(task_id, active)
    group by x.task_id
    having sum(x.active) <> 0
  ), changed as (
    update tasker.tasks t
    set active_steps = t.active_steps + c.active
    from change c
    where t.task_id = c.task_id
    returning t.task_id, t.active_steps
  )
  select array_agg(c.task_id) into over
  from changed c
  where c.active_steps = 0;
  return over;
end $$;
