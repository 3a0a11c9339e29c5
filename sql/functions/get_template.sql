create or replace function tasker.get_template(namespace text, name text, version text default null)
returns jsonb
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  id bigint;
begin
  if tasker._is_limited('{requester,author}') then
    perform tasker._check_namespace('{requester,author}', get_template.namespace);
  end if;
  id := tasker._known_template(get_template.namespace, get_template.name, get_template.version);
  return (select tt.definition from tasker.task_templates tt where tt.template_id = id);
end $$;
comment on function tasker.get_template(text, text, text) is
  'The normal form of a template: a valid definition, the environment applied, with every field present (of what lifecycle says of stuck tasks, only what was given). Without a version, the highest that is not retired. Errors: 42704 when there is no such template (the hint says which there are), 22004 when namespace or name is NULL.';
