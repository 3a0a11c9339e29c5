-- Raises what _request_obstacle says as 22023.
create or replace function tasker._raise_obstacle(obstacle text, namespace text, name text)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
begin
  raise exception using errcode = 'invalid_parameter_value', message = obstacle,
    hint = format('SELECT tasker.get_template(%L, %L) shows what the template asks for.', _raise_obstacle.namespace, _raise_obstacle.name);
end $$;
