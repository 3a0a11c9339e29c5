create or replace function tasker.grant_worker(role text, namespace text, plain boolean default false)
returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
begin
  perform tasker._grant('worker', grant_worker.role, grant_worker.namespace, grant_worker.plain);
end $$;
comment on function tasker.grant_worker is
  'Lets a role work for one namespace, and no other: the functions of tasker_worker, with 42501 for what belongs elsewhere. What counts is the role that the session acts as (SET ROLE, else the login), and what it is a member of. plain => true also gives plain pgmq: reading the namespace''s queue, and sending results. Whoever sends plain results can forge those of any namespace, so leave it out where namespaces must be kept apart. Granted again with another plain, that counts. Raises 42704 for an unknown role or namespace, 0LP01 for a role of tasker_pg.';
