-- Those of ready steps whose task no orchestrator outside has claimed; the others are parked for it.
create or replace function tasker._unclaimed(ready bigint[], at timestamptz)
returns bigint[]
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  claimed bigint[];
  others  bigint[];
begin
  if not tasker._any_claims() then
    return ready;
  end if;
  select array_agg(r.step_id) filter (where c.task_id is not null), array_agg(r.step_id) filter (where c.task_id is null)
  into claimed, others
  from unnest(ready) r(step_id)
  left join tasker.claims c on c.task_id = r.step_id >> 16;
  if claimed is not null then
    perform tasker._park(claimed, at);
  end if;
  return others;
end $$;
