create or replace function tasker.register_template(definition text, environment text default null)
returns bigint
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  compiled jsonb;
  faults   text;
begin
  if register_template.definition is null then
    raise exception using errcode = 'null_value_not_allowed', message = 'definition must not be NULL';
  end if;
  compiled := tasker._compile_template(register_template.definition, register_template.environment);
  select string_agg(case f ->> 'path' when '' then '' else (f ->> 'path') || ': ' end || (f ->> 'message'), e'\n' order by n) into faults
  from jsonb_array_elements(compiled -> 'faults') with ordinality e(f, n);
  if faults is not null then
    raise exception using
      errcode = 'invalid_parameter_value',
      message = format('the template has %s fault(s)', jsonb_array_length(compiled -> 'faults')),
      detail = faults,
      hint = 'SELECT * FROM tasker.validate_template(...) lists them as rows.';
  end if;
  return tasker._store_template(compiled);
end $$;
comment on function tasker.register_template(text, text) is
  'Registers a template from YAML or JSON and returns its template_id; creates a missing namespace with its queue. environment: which of the definition''s environments to apply; one that it does not have applies nothing. Identical content returns the id it has. Raises 22023 with every fault and its path in the detail, 42710 for other content under a version that exists.';

create or replace function tasker.register_template(definition jsonb, environment text default null)
returns bigint
language sql security definer
set search_path = pg_catalog, pg_temp
begin atomic
  select tasker.register_template(register_template.definition::text, register_template.environment);
end;
comment on function tasker.register_template(jsonb, text) is 'As register_template(text, text), from jsonb.';
