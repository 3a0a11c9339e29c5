-- The template that a request means: the named version, or the highest that is not retired. No row when there is none.
-- A query that becomes part of the caller's; all of it, as version_key, by which it sorts, is a column too.
create or replace function tasker._find_template(namespace text, name text, version text)
returns table (
  template_id bigint, namespace_id bigint, template_name text, identity_strategy text, has_input_schema boolean,
  default_context jsonb, version_key text)
language sql stable parallel safe
begin atomic
  select tt.template_id, tt.namespace_id, tt.name, tt.identity_strategy, tt.input_schema is not null, tt.default_context,
    tt.version_key
  from tasker.task_templates tt
  where tt.namespace = _find_template.namespace and tt.name = _find_template.name and tt.retired_at is null
    and (_find_template.version is null or tt.version = _find_template.version)
  order by tt.version_key desc, tt.template_id desc
  limit 1;
end;
