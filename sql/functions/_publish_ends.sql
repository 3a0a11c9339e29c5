-- Publishes those of these ends that their templates ask for.
create or replace function tasker._publish_ends(ends tasker._end[], at timestamptz)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  batch record;
begin
  for batch in
    select n.namespace_id, n.name, array_agg(
        jsonb_build_object('event', e.subject || '_' || e.outcome, 'task_id', t.task_id, 'step_id', e.step_id,
          'namespace', n.name, 'task_name', tt.name, 'step_name', e.step_name, 'outcome', e.state,
          'correlation_id', t.correlation_id, 'parent_correlation_id', t.parent_correlation_id, 'occurred_at', at)
        order by e.task_id, e.step_id) as messages
    from unnest(ends) e
    join tasker.tasks t on t.task_id = e.task_id
    join tasker.task_templates tt on tt.template_id = t.template_id
    join tasker.namespaces n on n.namespace_id = t.namespace_id
    where e.outcome = any(case e.subject when 'task' then tt.task_events else tt.step_events end)
    group by n.namespace_id, n.name
    order by n.namespace_id
  loop
    perform tasker._publish(batch.namespace_id, batch.name, batch.messages);
  end loop;
end $$;
