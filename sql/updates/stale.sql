-- Functions that the new version does not have: their rows in the catalog were not written anew.
do $$
declare
  stale text;
begin
  select pg_catalog.string_agg(p.oid::regprocedure::text, ', ') into stale
  from pg_catalog.pg_proc p
  join _functions_before b on b.oid = p.oid and b.place = p.ctid;
  if stale is not null then
    execute pg_catalog.format('drop function %s', stale);
  end if;
end $$;
drop table _functions_before;
