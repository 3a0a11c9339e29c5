-- Makes what a role may do here what namespace_grants says, no more and no less: functions, queues, schemas. Everything
-- that tasker_owner has given it before is taken away first.
create or replace function tasker._apply_grants(role oid)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  grantee constant text := quote_ident(pg_get_userbyid(_apply_grants.role));
  routine regprocedure;
  queue   record;
begin
  -- One at a time: two that change the rights on one function fail with "tuple concurrently updated".
  perform pg_advisory_xact_lock(tasker._lock_key('grants', ''));
  for routine in
    select p.oid
    from pg_proc p
    cross join aclexplode(p.proacl) a
    where p.pronamespace = 'tasker'::regnamespace and a.grantee = _apply_grants.role
  loop
    execute format('revoke all on function %s from %s', routine, grantee);
  end loop;
  for queue in
    select c.oid::regclass as name
    from pg_class c
    where c.relnamespace = 'pgmq'::regnamespace and c.relowner = 'tasker_owner'::regrole
      and (exists (select from aclexplode(c.relacl) a where a.grantee = _apply_grants.role)
        or exists (
          select
          from pg_attribute t
          cross join aclexplode(t.attacl) a
          where t.attrelid = c.oid and a.grantee = _apply_grants.role))
  loop
    execute format('revoke all on %s from %s', queue.name, grantee);
  end loop;
  execute format('revoke usage on schema tasker, pgmq from %s', grantee);
  if not exists (select from tasker.namespace_grants g where g.role = _apply_grants.role) then
    return;
  end if;

  execute format('grant usage on schema tasker, pgmq to %s', grantee);
  for routine in
    select distinct p.oid
    from tasker.namespace_grants g
    cross join jsonb_array_elements_text(tasker._rights() -> g.granted) f(name)
    join pg_proc p on p.pronamespace = 'tasker'::regnamespace and p.proname = f.name
    where g.role = _apply_grants.role
  loop
    execute format('grant execute on function %s to %s', routine, grantee);
  end loop;
  for queue in
    select 'pgmq.' || quote_ident(c.relname) as name, i.privileges
    from (
      select 'q_' || g.namespace || '_events', tasker._queue_right('take')
      from tasker.namespace_grants g
      where g.role = _apply_grants.role and g.granted in ('requester', 'worker')
      union
      select 'q_' || g.namespace || '_queue', tasker._queue_right('take')
      from tasker.namespace_grants g
      where g.role = _apply_grants.role and g.plain
      union
      select 'q_orchestration_step_results', tasker._queue_right('send')
      from tasker.namespace_grants g
      where g.role = _apply_grants.role and g.plain
    ) i(relname, privileges)
    join pg_class c on c.relname = i.relname and c.relnamespace = 'pgmq'::regnamespace
  loop
    execute format('grant %s on %s to %s', queue.privileges, queue.name, grantee);
  end loop;
end $$;
