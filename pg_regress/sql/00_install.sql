-- CREATE EXTENSION makes everything and hands it to its roles. What it makes stands here, so that a change of the
-- surface shows as a difference.
\set SHOW_CONTEXT never
create extension tasker_pg cascade;

-- The extension can be dropped after it has made queues, and made anew: the queues are found and taken up again.
select tasker.register_template('{"namespace_name": "test_install", "name": "one", "steps": [{"name": "a"}]}') > 0 as registered;
select tasker.request_task('test_install', 'one') > 0 as requested;
set client_min_messages = warning;
drop extension tasker_pg;
select (select count(*) from pg_class c where c.relnamespace = 'tasker'::regnamespace)
  + (select count(*) from pg_proc p where p.pronamespace = 'tasker'::regnamespace)
  + (select count(*) from pg_type t where t.typnamespace = 'tasker'::regnamespace) as left_behind;
select count(*) as triggers_left from pg_trigger where tgname = 'tasker_wake';
select q.queue_name from pgmq.list_queues() q order by q.queue_name;
create extension tasker_pg;
reset client_min_messages;
select tasker.register_template('{"namespace_name": "test_install", "name": "one", "steps": [{"name": "a"}]}') > 0 as registered;
select count(*) as triggers from pg_trigger where tgname = 'tasker_wake';
select count(*) as tasks from tasker.tasks;

-- Tables.
select c.relname as table, a.attname as column, format_type(a.atttypid, a.atttypmod) as type,
  case when a.attnotnull then 'not null' else '' end as nullable,
  case when a.attidentity = 'a' then 'identity' else coalesce(pg_get_expr(d.adbin, d.adrelid), '') end as default
from pg_class c
join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
where c.relnamespace = 'tasker'::regnamespace and c.relkind = 'r'
order by c.relname, a.attname;

-- Constraints: each has a name that states its rule.
\pset format unaligned
select c.conrelid::regclass as table, c.conname as constraint, pg_get_constraintdef(c.oid) as definition
from pg_constraint c
where c.connamespace = 'tasker'::regnamespace and c.contype <> 'n'
order by c.conrelid::regclass::text, c.conname;

-- Indexes without a constraint.
select pg_get_indexdef(i.indexrelid) as index
from pg_index i
join pg_class c on c.oid = i.indrelid
where c.relnamespace = 'tasker'::regnamespace
  and not exists (select from pg_constraint o where o.conindid = i.indexrelid and o.contype in ('p', 'u'))
order by 1;
\pset format aligned

-- No trigger stands on a table of ours, and no foreign key leads to tasks or steps: rows that are busy stay lockable.
select count(*) as triggers
from pg_trigger t
join pg_class c on c.oid = t.tgrelid
where c.relnamespace = 'tasker'::regnamespace and not t.tgisinternal;
select count(*) as foreign_keys
from pg_constraint c
where c.contype = 'f' and (c.confrelid in ('tasker.tasks'::regclass, 'tasker.steps'::regclass)
  or c.conrelid in ('tasker.tasks'::regclass, 'tasker.steps'::regclass));

-- Views.
\pset format unaligned
select c.relname as view, string_agg(format('%s %s', a.attname, format_type(a.atttypid, a.atttypmod)), ', ' order by a.attnum) as columns
from pg_class c
join pg_attribute a on a.attrelid = c.oid and a.attnum > 0
where c.relnamespace = 'tasker'::regnamespace and c.relkind = 'v'
group by c.relname
order by c.relname;

-- Functions that everybody may know: those without a leading underscore.
create temp view api as
select p.*, format('%s(%s)', p.proname, pg_get_function_identity_arguments(p.oid)) as signature
from pg_proc p
where p.pronamespace = 'tasker'::regnamespace and p.proname not like '\_%';

select a.proname as function, pg_get_function_arguments(a.oid) as arguments, pg_get_function_result(a.oid) as result
from api a
order by a.proname, pg_get_function_arguments(a.oid);

-- Who may call them. The admin may call all of them.
select a.signature as function, string_agg(substr(r.rolname, 8), ', ' order by r.rolname) as callable_by
from api a
left join pg_roles r on r.rolname like 'tasker\_%' and r.rolname <> 'tasker_owner'
  and has_function_privilege(r.rolname, a.oid, 'execute')
group by a.signature
order by a.signature;
\pset format aligned

-- Nobody else may call anything, or read or write anything.
select p.oid::regprocedure as public_may_call
from pg_proc p
where p.pronamespace = 'tasker'::regnamespace and has_function_privilege('public', p.oid, 'execute');
select c.relname as public_may_use
from pg_class c
where c.relnamespace = 'tasker'::regnamespace and c.relkind in ('r', 'v')
  and has_table_privilege('public', c.oid, 'select, insert, update, delete, truncate, references, trigger');
select has_schema_privilege('public', 'tasker', 'usage, create') as public_may_enter;

-- Internal functions that others than the owner may call: those that views call as whoever reads the view.
select p.proname as function, string_agg(substr(r.rolname, 8), ', ' order by r.rolname) as callable_by
from pg_proc p
join pg_roles r on r.rolname like 'tasker\_%' and r.rolname <> 'tasker_owner'
  and has_function_privilege(r.rolname, p.oid, 'execute')
where p.pronamespace = 'tasker'::regnamespace and p.proname like '\_%'
group by p.proname
order by p.proname;

-- Tables are read by the admin alone, views by the monitor too; no one but the owner writes.
select c.relkind, string_agg(distinct substr(r.rolname, 8), ', ') as may_select
from pg_class c
join pg_roles r on r.rolname like 'tasker\_%' and r.rolname <> 'tasker_owner' and has_table_privilege(r.rolname, c.oid, 'select')
where c.relnamespace = 'tasker'::regnamespace and c.relkind in ('r', 'v')
group by c.relkind;
select c.relname, r.rolname as may_write
from pg_class c
join pg_roles r on r.rolname like 'tasker\_%' and r.rolname <> 'tasker_owner'
  and has_table_privilege(r.rolname, c.oid, 'insert, update, delete, truncate')
where c.relnamespace = 'tasker'::regnamespace and c.relkind in ('r', 'v');

-- The roles cannot log in, and have no right that a superuser would have to think about.
select r.rolname
from pg_roles r
where r.rolname like 'tasker\_%'
  and not (r.rolcanlogin or r.rolsuper or r.rolcreaterole or r.rolcreatedb or r.rolreplication or r.rolbypassrls)
order by r.rolname;

-- Rules that every function keeps. What has no parsed body sets its search path; internal functions run as their
-- caller, unless views call them; public ones run as the owner.
select p.oid::regprocedure as without_search_path
from pg_proc p
join pg_language l on l.oid = p.prolang
where p.pronamespace = 'tasker'::regnamespace and l.lanname in ('plpgsql', 'sql') and p.prosqlbody is null
  and not coalesce(p.proconfig @> array['search_path=pg_catalog, pg_temp'], false);
select p.proname as internal_yet_security_definer
from pg_proc p
where p.pronamespace = 'tasker'::regnamespace and p.proname like '\_%' and p.prosecdef
order by p.proname;
select a.signature as public_yet_as_caller
from api a
join pg_language l on l.oid = a.prolang
where not a.prosecdef and l.lanname <> 'c'
order by a.signature;

-- Everything belongs to tasker_owner.
select pg_describe_object('pg_proc'::regclass, p.oid, 0) as not_ours
from pg_proc p
where p.pronamespace = 'tasker'::regnamespace and p.proowner <> 'tasker_owner'::regrole
union all
select pg_describe_object('pg_class'::regclass, c.oid, 0)
from pg_class c
where c.relnamespace = 'tasker'::regnamespace and c.relkind in ('r', 'v', 'S') and c.relowner <> 'tasker_owner'::regrole;

-- Every public function, view and column of a view is described, and so is every table.
select a.signature as without_comment from api a where obj_description(a.oid, 'pg_proc') is null;
select c.oid::regclass as without_comment
from pg_class c
where c.relnamespace = 'tasker'::regnamespace and c.relkind in ('r', 'v') and obj_description(c.oid, 'pg_class') is null;
select c.relname || '.' || a.attname as without_comment
from pg_class c
join pg_attribute a on a.attrelid = c.oid and a.attnum > 0
where c.relnamespace = 'tasker'::regnamespace and c.relkind = 'v' and col_description(c.oid, a.attnum) is null;

-- pg_dump carries the rows of every table, and where every sequence stands.
select c.relkind, c.relname as not_dumped
from pg_class c
where c.relnamespace = 'tasker'::regnamespace and c.relkind in ('r', 'S')
  and not exists (select from pg_extension e where e.extname = 'tasker_pg' and c.oid = any(e.extconfig))
order by c.relname;

-- The queues are no members of the extension: their messages are dumped as those of any table.
select pg_describe_object(d.classid, d.objid, d.objsubid) as member_outside_of_tasker
from pg_depend d
where d.refclassid = 'pg_extension'::regclass and d.deptype = 'e'
  and d.refobjid = (select e.oid from pg_extension e where e.extname = 'tasker_pg')
  and pg_describe_object(d.classid, d.objid, d.objsubid) !~ '(schema tasker|tasker\.)';

select tasker.drop_namespace('test_install');
select * from tasker.check();
