-- Publishes the ends of steps whose templates ask for it, in the transaction that ends them. A step that will be tried
-- again has not ended.
create or replace function tasker._publish_step_ends(step_ids bigint[], at timestamptz)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  batch record;
begin
  if not exists (select from tasker.task_templates tt where tt.task_events <> '{}' or tt.step_events <> '{}') then
    return;
  end if;
  for batch in
    select n.name, array_agg(
        jsonb_build_object('event', 'step_' || e.outcome, 'task_id', t.task_id, 'step_id', s.step_id, 'namespace', n.name,
          'task_name', tt.name, 'step_name', ts.name, 'outcome', s.state, 'correlation_id', t.correlation_id,
          'parent_correlation_id', t.parent_correlation_id, 'occurred_at', at)
        order by s.step_id) as messages
    from unnest(_publish_step_ends.step_ids) i(step_id)
    join tasker.steps s on s.step_id = i.step_id
    join tasker.template_steps ts on ts.template_step_id = s.template_step_id
    join tasker.tasks t on t.task_id = s.task_id
    join tasker.task_templates tt on tt.template_id = t.template_id
    join tasker.namespaces n on n.namespace_id = t.namespace_id
    cross join lateral (
      select case when s.state in ('complete', 'resolved_manually') then 'completed' when s.state = 'error' then 'failed' end as outcome) e
    where e.outcome = any(tt.step_events)
    group by n.name
    order by n.name
  loop
    perform tasker._publish(batch.name, batch.messages);
  end loop;
end $$;
