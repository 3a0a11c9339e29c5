-- 22023 when max_rows is negative.
create or replace function tasker._check_max_rows(max_rows integer)
returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
begin
  if _check_max_rows.max_rows < 0 then
    raise exception using
      errcode = 'invalid_parameter_value',
      message = 'max_rows must not be negative',
      detail = format('max_rows is %s.', _check_max_rows.max_rows),
      hint = 'NULL means: no limit.';
  end if;
end $$;
