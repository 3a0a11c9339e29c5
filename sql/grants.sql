-- Who may do what. Nothing for PUBLIC; functions with a leading underscore are for our own functions only, but for the
-- few that stand inside of views and are therefore called as whoever reads the view.

grant usage on schema tasker to tasker_owner, tasker_admin, tasker_requester, tasker_author, tasker_worker, tasker_monitor;
grant usage on schema tasker to tasker_owner with grant option; -- for grant_worker() and its kin
grant create on schema tasker to tasker_owner;

-- What tasker_owner needs to own queues; what a plain worker or requester needs to reach them (each queue's own grants
-- come when it is created).
grant usage on schema pgmq to tasker_owner with grant option;
grant create on schema pgmq to tasker_owner;
grant select, insert, delete on pgmq.meta to tasker_owner;
grant usage on schema pgmq to tasker_admin, tasker_requester, tasker_worker;

do $$
declare
  relation record;
  routine  regprocedure;
begin
  for relation in
    select c.oid::regclass as name, c.relkind
    from pg_catalog.pg_class c
    where c.relnamespace = 'tasker'::regnamespace and c.relkind in ('r', 'v')
  loop
    execute pg_catalog.format('alter table %s owner to tasker_owner', relation.name);
    execute pg_catalog.format('grant select on %s to tasker_admin', relation.name);
    if relation.relkind = 'v' then
      execute pg_catalog.format('grant select on %s to tasker_monitor', relation.name);
    end if;
  end loop;

  for routine in
    select p.oid::regprocedure from pg_catalog.pg_proc p where p.pronamespace = 'tasker'::regnamespace
  loop
    execute pg_catalog.format('alter function %s owner to tasker_owner', routine);
    execute pg_catalog.format('revoke all on function %s from public', routine);
  end loop;
end $$;

alter type tasker._task_request owner to tasker_owner;
alter type tasker._outcome owner to tasker_owner;
alter type tasker._end owner to tasker_owner;
alter type tasker._pass owner to tasker_owner;

do $$
declare
  grantee text;
  routine regprocedure;
begin
  for grantee, routine in
    select 'tasker_' || a.key, p.oid::regprocedure
    from pg_catalog.jsonb_each(tasker._rights()) a
    join pg_catalog.pg_proc p on p.pronamespace = 'tasker'::regnamespace and a.value ? p.proname
  loop
    execute pg_catalog.format('grant execute on function %s to %I', routine, grantee);
  end loop;

  -- The admin may call whatever is public, but for what takes a superuser anyway.
  for routine in
    select p.oid::regprocedure
    from pg_catalog.pg_proc p
    where p.pronamespace = 'tasker'::regnamespace
      and p.proname <> 'uninstall'
      and (p.proname not like '\_%' or tasker._rights() -> 'monitor' ? p.proname)
  loop
    execute pg_catalog.format('grant execute on function %s to tasker_admin', routine);
  end loop;
end $$;

-- At commit of CREATE EXTENSION the launcher learns of this database.
select tasker._note_installed();
