create or replace function tasker._raise_no_template(namespace text, name text, version text)
returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  fault record;
begin
  select f.* into fault
  from tasker._no_template(_raise_no_template.namespace, _raise_no_template.name, _raise_no_template.version) f;
  raise exception using errcode = 'undefined_object', message = fault.message, hint = fault.hint;
end $$;
