-- The id of a namespace by name; 42704 for an unknown one.
create or replace function tasker._namespace_id(name text)
returns bigint
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  id constant bigint := tasker._find_namespace(_namespace_id.name);
begin
  if id is null then
    raise exception using
      errcode = 'undefined_object',
      message = format('namespace %s does not exist', coalesce(quote_ident(_namespace_id.name), 'NULL')),
      hint = coalesce(
        'There are: ' || (select string_agg(n.name, ', ' order by n.name) from (select n.name from tasker.namespaces n order by n.name limit 20) n) || '.',
        'There is none yet: register_template() or create_namespace() makes one.');
  end if;
  return id;
end $$;
