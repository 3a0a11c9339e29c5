-- Why there is no such template to start a task from, and which there are.
create or replace function tasker._no_template(
  namespace text, name text, version text, out message text, out hint text)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  known text;
begin
  if not exists (select from tasker.namespaces n where n.name = _no_template.namespace) then
    _no_template.message := format('namespace %s does not exist', coalesce(quote_ident(_no_template.namespace), 'NULL'));
    select string_agg(n.name, ', ' order by n.name) into known from (select n.name from tasker.namespaces n order by n.name limit 20) n;
    _no_template.hint := coalesce('There are: ' || known || '.', 'There is none yet: register_template() makes one.');
  elsif not exists (
    select from tasker.task_templates tt join tasker.namespaces n on n.namespace_id = tt.namespace_id
    where n.name = _no_template.namespace and tt.name = _no_template.name
  ) then
    _no_template.message := format('namespace %s has no template %s', quote_ident(_no_template.namespace),
      coalesce(quote_ident(_no_template.name), 'NULL'));
    select string_agg(t.name, ', ' order by t.name) into known
    from (
      select distinct tt.name
      from tasker.task_templates tt
      join tasker.namespaces n on n.namespace_id = tt.namespace_id
      where n.name = _no_template.namespace and tt.retired_at is null
      order by tt.name
      limit 20) t;
    _no_template.hint := coalesce('It has: ' || known || '.', 'It has none: register_template() makes one.');
  else
    _no_template.message := format('template %s/%s has no version %s in use', _no_template.namespace, _no_template.name,
      coalesce(_no_template.version, 'that is'));
    select string_agg(t.version || case when t.retired_at is not null then ' (retired)' else '' end, ', ' order by t.version_key desc) into known
    from (
      select tt.version, tt.version_key, tt.retired_at
      from tasker.task_templates tt
      join tasker.namespaces n on n.namespace_id = tt.namespace_id
      where n.name = _no_template.namespace and tt.name = _no_template.name
      order by tt.version_key desc
      limit 20) t;
    _no_template.hint := 'Its versions: ' || known || '.';
  end if;
end $$;
