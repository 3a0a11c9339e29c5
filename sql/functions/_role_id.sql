-- A role by its name, as it is, without quotes; 42704 for an unknown one.
create or replace function tasker._role_id(role text)
returns oid
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  id constant oid := (select r.oid from pg_roles r where r.rolname = _role_id.role);
begin
  if id is null then
    raise exception using
      errcode = case when _role_id.role is null then 'null_value_not_allowed' else 'undefined_object' end,
      message = case when _role_id.role is null then 'role must not be NULL'
        else format('role "%s" does not exist', _role_id.role) end,
      hint = 'Give its name as it is, in lower case unless it was made with quotes. PUBLIC is no role.';
  end if;
  return id;
end $$;
