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
  written boolean;
begin
  if unready is not null then
    written := tasker._write_remaining_parents(unready, still_missing);
  end if;
  return tasker._write_active_steps(_release_children.parents, _release_children.ready);
end $$;
