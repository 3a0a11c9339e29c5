-- How every update begins, once the library is the right one (library.sql) and nobody is in between (lock.sql): a
-- function of the new version must not meet a table of the old one. What follows is one transaction, with the parts in
-- this order (scripts/update-script): this file, the tables by hand (one file from each release to the next), types and
-- all functions anew, stale.sql, all views anew, grants, end.sql.

-- Our roles get their rights anew, in the end, so that none is left over. Rights of your own roles stay.
do $$
declare
  grantee  text;
  relation regclass;
  routine  regprocedure;
begin
  foreach grantee in array array['tasker_admin', 'tasker_requester', 'tasker_author', 'tasker_worker', 'tasker_monitor']
  loop
    execute pg_catalog.format('revoke all on schema tasker from %I', grantee);
    for relation in
      select c.oid from pg_catalog.pg_class c where c.relnamespace = 'tasker'::regnamespace and c.relkind in ('r', 'v')
    loop
      execute pg_catalog.format('revoke all on %s from %I', relation, grantee);
    end loop;
    for routine in select p.oid from pg_catalog.pg_proc p where p.pronamespace = 'tasker'::regnamespace
    loop
      execute pg_catalog.format('revoke all on function %s from %I', routine, grantee);
    end loop;
  end loop;
end $$;

-- Views are made anew. What others were granted on them is given back by end.sql.
create temp table _view_grants as
select pg_catalog.format('grant %s%s on tasker.%I to %s%s', a.privilege_type,
  case when a.attname is not null then pg_catalog.format(' (%I)', a.attname) end, c.relname,
  case a.grantee when 0 then 'public' else a.grantee::regrole::text end,
  case when a.is_grantable then ' with grant option' end) as statement
from pg_catalog.pg_class c
cross join lateral (
  select null as attname, x.* from pg_catalog.aclexplode(c.relacl) x
  union all
  select t.attname, x.*
  from pg_catalog.pg_attribute t
  cross join lateral pg_catalog.aclexplode(t.attacl) x
  where t.attrelid = c.oid and t.attnum > 0 and not t.attisdropped
) a
where c.relnamespace = 'tasker'::regnamespace and c.relkind = 'v' and a.grantee <> c.relowner;

-- So are the functions that are for our own functions alone, whatever their signatures: only those that a trigger on a queue
-- calls stay.
do $$
declare
  statement text;
  uses      text;
begin
  for statement in
    select pg_catalog.format('drop view %s', pg_catalog.string_agg(c.oid::regclass::text, ', '))
    from pg_catalog.pg_class c
    where c.relnamespace = 'tasker'::regnamespace and c.relkind = 'v'
    union all
    select pg_catalog.format('drop function %s', pg_catalog.string_agg(p.oid::regprocedure::text, ', '))
    from pg_catalog.pg_proc p
    where p.pronamespace = 'tasker'::regnamespace and p.proname like '\_%' and p.prorettype <> 'trigger'::regtype
  loop
    execute statement;
  end loop;
exception when dependent_objects_still_exist then
  get stacked diagnostics uses = pg_exception_detail;
  raise exception using
    errcode = 'dependent_objects_still_exist',
    message = 'views or internal functions of tasker_pg are used by others, and an update makes them anew',
    detail = uses,
    hint = 'Drop what stands on views and on functions with a leading underscore of schema tasker, update, and create it again.';
end $$;

-- What CREATE OR REPLACE does not touch from here on, is no part of the new version: stale.sql drops it.
create temp table _functions_before as
select p.oid, p.ctid as place from pg_catalog.pg_proc p where p.pronamespace = 'tasker'::regnamespace;

-- The functions that follow call each other in any order.
set local check_function_bodies = off;
