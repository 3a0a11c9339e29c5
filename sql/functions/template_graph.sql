create or replace function tasker.template_graph(
  namespace text,
  name      text,
  version   text default null,
  format    text default 'mermaid'
)
returns text
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  id bigint;
begin
  if tasker._is_limited('{author,monitor}') then
    perform tasker._check_namespace('{author,monitor}', template_graph.namespace);
  end if;
  id := tasker._known_template(template_graph.namespace, template_graph.name, template_graph.version);
  return (
    with nodes as (
      select jsonb_agg(
        jsonb_build_object('id', ts.step_index, 'name', ts.name, 'state', null, 'note', null)
        order by ts.step_index) as list
      from tasker.template_steps ts
      where ts.template_id = id
    ), edges as (
      select jsonb_agg(jsonb_build_array(d.parent_index, d.child_index) order by d.parent_index, d.child_index) as list
      from tasker.template_dependencies d
      where d.template_id = id
    )
    select tasker._graph(
      jsonb_build_object(
        'title', format('%s/%s %s', template_graph.namespace, tt.name, tt.version),
        'nodes', nodes.list,
        'edges', coalesce(edges.list, '[]')),
      coalesce(template_graph.format, 'mermaid'))
    from nodes, edges, tasker.task_templates tt
    where tt.template_id = id);
end $$;
comment on function tasker.template_graph(text, text, text, text) is
  'A template''s steps and dependencies as text: format mermaid (default) or dot. Without a version, the highest that is not retired. Errors: 42704 when there is no such template (the hint says which there are), 22004 when namespace or name is NULL.';
