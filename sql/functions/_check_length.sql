-- Raises 22023 when a text that a caller gave is too long to be kept with each step that it concerns.
create or replace function tasker._check_length(what text, value text, most integer)
returns void
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
begin
  if length(_check_length.value) > _check_length.most then
    raise exception using errcode = 'invalid_parameter_value',
      message = format('%s has at most %s characters', what, most),
      detail = format('It has %s.', length(_check_length.value));
  end if;
end $$;
