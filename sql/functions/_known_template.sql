-- The template that somebody asks about: the named version, retired or not, or the highest that is in use.
create or replace function tasker._known_template(namespace text, name text, version text)
returns bigint
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  id bigint;
begin
  if _known_template.namespace is null or _known_template.name is null then
    raise exception using errcode = 'null_value_not_allowed', message = 'namespace and name must not be NULL';
  end if;
  select tt.template_id into id
  from tasker.namespaces n
  join tasker.task_templates tt on tt.namespace_id = n.namespace_id
  where n.name = _known_template.namespace
    and tt.name = _known_template.name
    and case
      when _known_template.version is null then tt.retired_at is null
      else tt.version = _known_template.version
    end
  order by tt.version_key desc, tt.template_id desc
  limit 1;
  if id is null then
    perform tasker._raise_no_template(_known_template.namespace, _known_template.name, _known_template.version);
  end if;
  return id;
end $$;
