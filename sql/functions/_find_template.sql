-- The template that a request means: the named version, or the highest that is not retired. NULL when there is none.
create or replace function tasker._find_template(namespace text, name text, version text)
returns bigint
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
begin
  return (
    select tt.template_id
    from tasker.task_templates tt
    join tasker.namespaces n on n.namespace_id = tt.namespace_id
    where n.name = _find_template.namespace and tt.name = _find_template.name and tt.retired_at is null
      and (_find_template.version is null or tt.version = _find_template.version)
    order by tt.version_key desc, tt.template_id desc
    limit 1);
end $$;
