-- Raises 42602 for what cannot name a namespace.
create or replace function tasker._check_namespace_name(name text)
returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
begin
  if _check_namespace_name.name is null or _check_namespace_name.name !~ '^[a-z][a-z0-9_]{0,28}$' then
    raise exception using
      errcode = 'invalid_name',
      message = 'a namespace name is 1 to 29 lower case letters, digits and underscores, beginning with a letter',
      detail = format('The name is %L.', _check_namespace_name.name);
  end if;
end $$;
