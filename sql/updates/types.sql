-- Types that have changed take the place of the old ones. All others stay as they are: a call that waits for the update has
-- them in its variables.
do $$
declare
  type record;
  same boolean;
begin
  for type in
    select c.oid, c.reltype, pg_catalog.left(c.relname, -5) as name
    from pg_catalog.pg_class c
    where c.relnamespace = 'tasker'::regnamespace and c.relkind = 'c' and c.relname like '%\_\_new'
    order by c.oid
  loop
    select pg_catalog.array_agg(row(a.attname, a.atttypid, a.atttypmod)::text order by a.attnum)
        filter (where a.attrelid = type.oid)
      = pg_catalog.array_agg(row(a.attname, a.atttypid, a.atttypmod)::text order by a.attnum)
        filter (where a.attrelid <> type.oid) into same
    from pg_catalog.pg_attribute a
    where a.attrelid in (type.oid, pg_catalog.to_regclass('tasker.' || type.name)) and a.attnum > 0 and not a.attisdropped;
    if same then
      execute pg_catalog.format('drop type tasker.%I', type.name || '__new');
    else
      execute pg_catalog.format('drop type if exists tasker.%I', type.name);
      execute pg_catalog.format('alter type tasker.%I rename to %I', type.name || '__new', type.name);
    end if;
  end loop;
end $$;
