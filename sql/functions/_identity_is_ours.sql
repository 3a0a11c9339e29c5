-- Whether this engine belongs to this cluster and database. NULL: it belongs to none yet (no namespace was created).
create or replace function tasker._identity_is_ours()
returns boolean
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
begin
  return (
    select i.system_identifier = tasker._system_identifier() and i.database_oid = tasker._database_oid()
    from tasker.identity i);
end $$;
