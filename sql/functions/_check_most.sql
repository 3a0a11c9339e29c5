-- 22023 when an argument that says how many there may be is negative.
create or replace function tasker._check_most(argument text, most integer)
returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
begin
  if _check_most.most < 0 then
    raise exception using
      errcode = 'invalid_parameter_value',
      message = format('%s must not be negative', _check_most.argument),
      detail = format('%s is %s.', _check_most.argument, _check_most.most),
      hint = 'NULL means: no limit.';
  end if;
end $$;
