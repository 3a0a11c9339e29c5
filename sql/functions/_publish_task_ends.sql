-- Publishes the ends of tasks whose templates ask for it, in the transaction that ends them.
create or replace function tasker._publish_task_ends(task_ids bigint[], at timestamptz)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
begin
  if not tasker._any_events() then
    return;
  end if;
  perform tasker._publish_ends(array_agg(
      row('task', t.task_id, null, null, t.state,
        case t.state when 'complete' then 'completed' when 'error' then 'failed' else 'cancelled' end)::tasker._end
      order by t.task_id), at)
  from unnest(_publish_task_ends.task_ids) i(task_id)
  join tasker.tasks t on t.task_id = i.task_id;
end $$;
