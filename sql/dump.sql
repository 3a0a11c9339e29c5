-- A dump carries all of it, sequences included.
do $$
declare
  relation regclass;
begin
  for relation in
    select c.oid::regclass
    from pg_catalog.pg_class c
    where c.relnamespace = 'tasker'::regnamespace and c.relkind in ('r', 'S')
  loop
    perform pg_catalog.pg_extension_config_dump(relation, '');
  end loop;
end $$;
