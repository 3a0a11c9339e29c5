create or replace function tasker.validate_template(definition text, environment text default null)
returns table (path text, message text)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
begin
  return query
  select f.fault ->> 'path', f.fault ->> 'message'
  from jsonb_array_elements(
    tasker._compile_template(validate_template.definition, validate_template.environment) -> 'faults') with ordinality f(fault, n)
  order by f.n;
end $$;
comment on function tasker.validate_template(text, text) is
  'Every fault of a template (YAML or JSON), with its path; no rows = register_template would take it. Registers nothing.';

create or replace function tasker.validate_template(definition jsonb, environment text default null)
returns table (path text, message text)
language sql stable security definer
set search_path = pg_catalog, pg_temp
begin atomic
  select v.path, v.message from tasker.validate_template(validate_template.definition::text, validate_template.environment) v;
end;
comment on function tasker.validate_template(jsonb, text) is 'As validate_template(text, text), for jsonb.';
