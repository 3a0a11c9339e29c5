create or replace function tasker.task_graph(task_id bigint, format text default 'mermaid')
returns text
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select tasker._known_task(task_graph.task_id);

  with nodes as (
    select jsonb_agg(
      jsonb_build_object(
        'id', r.step_index,
        'name', r.name,
        'state', r.current_state,
        'note', case
          when r.attempts > 1 or r.current_state in ('waiting_for_retry', 'error') and r.attempts > 0
            then format('attempt %s/%s', r.attempts, r.max_attempts)
        end)
      order by r.step_index) as list
    from tasker._step_readiness(array[task_graph.task_id]) r
  ), edges as (
    select jsonb_agg(jsonb_build_array(d.parent_index, d.child_index) order by d.parent_index, d.child_index) as list
    from tasker.tasks t
    join tasker.template_dependencies d on d.template_id = t.template_id
    where t.task_id = task_graph.task_id
  )
  select tasker._graph(
    jsonb_build_object(
      'title', format('%s/%s %s, task %s: %s', n.name, tt.name, tt.version, t.task_id, t.state),
      'nodes', nodes.list,
      'edges', coalesce(edges.list, '[]')),
    coalesce(task_graph.format, 'mermaid'))
  from nodes, edges, tasker.tasks t
  join tasker.task_templates tt on tt.template_id = t.template_id
  join tasker.namespaces n on n.namespace_id = t.namespace_id
  where t.task_id = task_graph.task_id;
$$;
comment on function tasker.task_graph(bigint, text) is
  'A task''s steps, their states and dependencies as text: format mermaid (default) or dot. Errors: 42704 when the task does not exist, 22004 when task_id is NULL.';
