-- Publishes the ends of tasks whose templates ask for it, in the transaction that ends them.
create or replace function tasker._publish_task_ends(task_ids bigint[], at timestamptz)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  batch record;
begin
  -- An empty index, as long as no template asks for anything.
  if not exists (select from tasker.task_templates tt where tt.task_events <> '{}' or tt.step_events <> '{}') then
    return;
  end if;
  for batch in
    select n.name, array_agg(
        jsonb_build_object('event', 'task_' || e.outcome, 'task_id', t.task_id, 'step_id', null, 'namespace', n.name,
          'task_name', tt.name, 'step_name', null, 'outcome', t.state, 'correlation_id', t.correlation_id,
          'parent_correlation_id', t.parent_correlation_id, 'occurred_at', at)
        order by t.task_id) as messages
    from unnest(_publish_task_ends.task_ids) i(task_id)
    join tasker.tasks t on t.task_id = i.task_id
    join tasker.task_templates tt on tt.template_id = t.template_id
    join tasker.namespaces n on n.namespace_id = t.namespace_id
    cross join lateral (
      select case t.state when 'complete' then 'completed' when 'error' then 'failed' else 'cancelled' end as outcome) e
    where e.outcome = any(tt.task_events)
    group by n.name
    order by n.name
  loop
    perform tasker._publish(batch.name, batch.messages);
  end loop;
end $$;
