-- Raises 42501 when the caller has none of these rights in the namespace, whether it exists or not.
create or replace function tasker._check_namespace(rights text[], namespace text)
returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  reach constant text[] := tasker._reach(rights);
begin
  if reach is not null and (_check_namespace.namespace = any(reach)) is not true then
    perform tasker._raise_out_of_reach(rights, 'namespace ' || coalesce(quote_ident(_check_namespace.namespace), 'NULL'));
  end if;
end $$;
