-- Everything that the extension is made of, a line for each piece, so that two databases can be compared. The order of
-- a table's columns is left out (an update appends), and so is what pg_dump or a person may add.
with relation as (
  select c.*, c.oid::regclass::text as name
  from pg_class c
  where c.relnamespace = 'tasker'::regnamespace
), queue as (
  select c.*
  from pgmq.meta m
  join pg_class c on c.relname in ('q_' || m.queue_name, 'a_' || m.queue_name) and c.relnamespace = 'pgmq'::regnamespace
), acl(what, list, owner) as (
  select 'schema ' || n.nspname, n.nspacl, n.nspowner from pg_namespace n where n.nspname in ('tasker', 'pgmq')
  union all
  select 'relation ' || r.name, r.relacl, r.relowner from relation r where r.relkind in ('r', 'v', 'S')
  union all
  select format('relation pgmq.%s', c.relname), c.relacl, c.relowner
  from pg_class c where c.relnamespace = 'pgmq'::regnamespace and c.relname = 'meta'
  union all
  select format('column %s.%s', r.name, a.attname), a.attacl, r.relowner
  from relation r join pg_attribute a on a.attrelid = r.oid and a.attnum > 0 and not a.attisdropped
  union all
  -- No list, where only columns were granted, means the same as one with the owner's rights.
  select format('queue %s', q.oid::regclass), coalesce(q.relacl, acldefault('r', q.relowner)), q.relowner from queue q
  union all
  select format('column %s.%s of a queue', q.oid::regclass, a.attname), a.attacl, q.relowner
  from queue q join pg_attribute a on a.attrelid = q.oid and a.attnum > 0 and a.attacl is not null
  union all
  select 'function ' || p.oid::regprocedure, p.proacl, p.proowner from pg_proc p where p.pronamespace = 'tasker'::regnamespace
  union all
  select 'type ' || t.oid::regtype, t.typacl, t.typowner from pg_type t where t.typnamespace = 'tasker'::regnamespace
), piece(line) as (
  select format('%s %s owner %s, persistence %s, options %s, row security %s', case r.relkind
      when 'r' then 'table' when 'v' then 'view' when 'S' then 'sequence' when 'i' then 'index' when 'c' then 'composite type'
      else r.relkind::text end,
    r.name, r.relowner::regrole, r.relpersistence, (select string_agg(o, ', ' order by o) from unnest(r.reloptions) o), r.relrowsecurity)
  from relation r
  where r.relkind <> 't'
  union all
  select format('queue %s owner %s, options %s', q.oid::regclass, q.relowner::regrole,
    (select string_agg(o, ', ' order by o) from unnest(q.reloptions) o))
  from queue q
  union all
  select format('trigger of a queue %s, depends on the extension %s', pg_get_triggerdef(t.oid),
    exists (select from pg_depend d where d.classid = 'pg_trigger'::regclass and d.objid = t.oid and d.deptype = 'x'))
  from pg_trigger t join queue q on q.oid = t.tgrelid
  where not t.tgisinternal
  union all
  select format('column %s.%s %s%s%s%s%s statistics %s', r.name, a.attname, format_type(a.atttypid, a.atttypmod),
    case when a.attnotnull then ' not null' end,
    ' default ' || pg_get_expr(d.adbin, d.adrelid), ' identity ' || nullif(a.attidentity::text, ''),
    ' collate ' || (select n.collname from pg_collation n where n.oid = a.attcollation) || ' storage ' || a.attstorage::text,
    nullif(a.attstattarget, -1))
  from relation r
  join pg_attribute a on a.attrelid = r.oid and a.attnum > 0 and not a.attisdropped
  left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
  where r.relkind in ('r', 'v', 'c')
  union all
  -- Where the order counts: in what is built by position.
  select format('%s has in this order: %s', r.name, string_agg(a.attname, ', ' order by a.attnum))
  from relation r
  join pg_attribute a on a.attrelid = r.oid and a.attnum > 0 and not a.attisdropped
  where r.relkind in ('v', 'c')
  group by r.name
  union all
  select format('constraint %s on %s: %s, valid %s', c.conname, coalesce(nullif(c.conrelid, 0)::regclass::text, '-'),
    pg_get_constraintdef(c.oid), c.convalidated)
  from pg_constraint c where c.connamespace = 'tasker'::regnamespace
  union all
  select format('%s, cluster %s', pg_get_indexdef(i.indexrelid), i.indisclustered) from relation r join pg_index i on i.indexrelid = r.oid
  union all
  select 'sequence ' || r.name || ' ' || row(s.seqtypid::regtype, s.seqstart, s.seqincrement, s.seqmax, s.seqmin, s.seqcache, s.seqcycle)
  from relation r join pg_sequence s on s.seqrelid = r.oid
  union all
  select format('view %s is %s', r.name, pg_get_viewdef(r.oid)) from relation r where r.relkind = 'v'
  union all
  select format('%s owner %s', pg_get_functiondef(p.oid), p.proowner::regrole)
  from pg_proc p where p.pronamespace = 'tasker'::regnamespace and p.prokind in ('f', 'p')
  union all
  select format('function %s is a %s', p.oid::regprocedure, p.prokind)
  from pg_proc p where p.pronamespace = 'tasker'::regnamespace and p.prokind not in ('f', 'p')
  union all
  select format('type %s %s, owner %s', t.oid::regtype, t.typtype, t.typowner::regrole)
  from pg_type t where t.typnamespace = 'tasker'::regnamespace
  union all
  select format('trigger %s', pg_get_triggerdef(t.oid))
  from pg_trigger t join relation r on r.oid = t.tgrelid where not t.tgisinternal
  union all
  select format('comment on %s: %s', pg_describe_object(d.classoid, d.objoid, d.objsubid), d.description)
  from pg_description d
  cross join lateral pg_identify_object(d.classoid, d.objoid, d.objsubid) o
  where o.schema = 'tasker' or o.identity like '% on tasker.%' or d.classoid = 'pg_namespace'::regclass and o.name = 'tasker'
  union all
  select format('%s: %s may %s%s', acl.what, case x.grantee when 0 then 'public' else x.grantee::regrole::text end,
    x.privilege_type, case when x.is_grantable then ' with grant option' end)
  from acl
  cross join lateral aclexplode(acl.list) x
  union all
  -- No list at all means the defaults, for functions: everybody.
  select format('%s has no list of rights', acl.what) from acl where acl.list is null and acl.what !~ '^(column|type)'
  union all
  select format('member %s, %s', pg_describe_object(d.classid, d.objid, d.objsubid), d.deptype)
  from pg_depend d
  where d.refclassid = 'pg_extension'::regclass
    and d.refobjid = (select e.oid from pg_extension e where e.extname = 'tasker_pg')
    and (d.deptype = 'e' or d.classid <> 'pg_trigger'::regclass)
  union all
  select format('dumped %s where %s', u.relation::regclass, coalesce(nullif(u.condition, ''), 'true'))
  from pg_extension e, unnest(e.extconfig, e.extcondition) u(relation, condition)
  where e.extname = 'tasker_pg'
  union all
  select format('version %s in schema %s', e.extversion, e.extnamespace::regnamespace) from pg_extension e where e.extname = 'tasker_pg'
  union all
  select format('role %s: login %s, inherit %s', r.rolname, r.rolcanlogin, r.rolinherit) from pg_roles r where r.rolname like 'tasker\_%'
)
select replace(line, e'\n', e'\\n') from piece order by 1
