-- The part of check() about templates: numbers of steps and parents, names of namespaces, and tasks whose template or namespace is gone.
create or replace function tasker._check_templates()
returns table (subject text, id bigint, expected text, found text)
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select 'task_templates.step_count', tt.template_id, count(ts.template_step_id)::text, tt.step_count::text
  from tasker.task_templates tt
  left join tasker.template_steps ts on ts.template_id = tt.template_id
  group by tt.template_id
  having count(ts.template_step_id) <> tt.step_count

  union all
  select 'template_steps.parent_count', ts.template_step_id, count(d.parent_index)::text, ts.parent_count::text
  from tasker.template_steps ts
  left join tasker.template_dependencies d on d.template_id = ts.template_id and d.child_index = ts.step_index
  group by ts.template_step_id
  having count(d.parent_index) <> ts.parent_count

  union all
  select 'task_templates.namespace', tt.template_id, n.name, tt.namespace
  from tasker.task_templates tt
  join tasker.namespaces n on n.namespace_id = tt.namespace_id
  where n.name <> tt.namespace

  union all
  select 'template of task', t.task_id, format('template %s of namespace %s', t.template_id, t.namespace_id),
    case when tt.template_id is null then 'none' else format('template %s of namespace %s', tt.template_id, tt.namespace_id) end
  from tasker.tasks t
  left join tasker.task_templates tt on tt.template_id = t.template_id
  where tt.namespace_id is distinct from t.namespace_id;
$$;
