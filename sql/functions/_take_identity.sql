-- Makes the engine belong to this cluster and database, if it belongs to none yet; true when it did not.
create or replace function tasker._take_identity()
returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
begin
  insert into tasker.identity (system_identifier, database_oid, taken_at, taken_by)
  select tasker._system_identifier(), d.oid, clock_timestamp(), session_user
  from pg_database d
  where d.datname = current_database() and not exists (select from tasker.identity)
  on conflict do nothing;
  return found;
end $$;
