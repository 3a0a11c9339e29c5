-- Step ids in the order in which they should be enqueued.
create or replace function tasker._in_order(step_ids bigint[], at timestamptz)
returns bigint[]
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
begin
  return array(
    select i.step_id
    from unnest(_in_order.step_ids) i(step_id)
    join tasker.tasks t on t.task_id = i.step_id >> 16
    order by tasker._computed_priority(t.priority, coalesce(t.run_at, t.created_at), _in_order.at) desc,
      coalesce(t.run_at, t.created_at), i.step_id);
end $$;
