create or replace function tasker.retire_template(namespace text, name text, version text)
returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  id bigint;
begin
  if tasker._is_limited('{author}') then
    perform tasker._check_namespace('{author}', retire_template.namespace);
  end if;
  if retire_template.namespace is null or retire_template.name is null or retire_template.version is null then
    raise exception using errcode = 'null_value_not_allowed', message = 'namespace, name and version must not be NULL';
  end if;
  select tt.template_id into id
  from tasker.task_templates tt
  join tasker.namespaces n on n.namespace_id = tt.namespace_id
  where n.name = retire_template.namespace and tt.name = retire_template.name and tt.version = retire_template.version;
  if id is null then
    perform tasker._raise_no_template(retire_template.namespace, retire_template.name, retire_template.version);
  end if;
  update tasker.task_templates tt set retired_at = tasker.clock() where tt.template_id = id and tt.retired_at is null;
  return found;
end $$;
comment on function tasker.retire_template is
  'Takes a version out of use: no new tasks start from it, and it is no default any more. Tasks that exist go on. Returns false when it was retired before. Raises 42704 for an unknown one, 22004 when an argument is NULL.';
