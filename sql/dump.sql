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
    -- A role that is gone would be dumped as its number, which is somebody else's where it is restored.
    perform pg_catalog.pg_extension_config_dump(relation, case when relation = 'tasker.namespace_grants'::regclass
      then 'where exists (select from pg_catalog.pg_roles r where r.oid = role)' else '' end);
  end loop;
end $$;
