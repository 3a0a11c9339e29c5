-- Publishes the ends of steps whose templates ask for it, in the transaction that ends them. A step that will be tried
-- again has not ended.
create or replace function tasker._publish_step_ends(step_ids bigint[], at timestamptz)
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
      row('step', s.task_id, s.step_id, ts.name, s.state,
        case when s.state in ('complete', 'resolved_manually') then 'completed' when s.state = 'error' then 'failed' end)::tasker._end
      order by s.step_id), at)
  from unnest(_publish_step_ends.step_ids) i(step_id)
  join tasker.steps s on s.step_id = i.step_id
  join tasker.template_steps ts on ts.template_step_id = s.template_step_id;
end $$;
