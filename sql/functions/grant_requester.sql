create or replace function tasker.grant_requester(role text, namespace text)
returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
begin
  perform tasker._grant('requester', grant_requester.role, grant_requester.namespace, null);
end $$;
comment on function tasker.grant_requester is
  'Lets a role request, cancel, find and wait for tasks of one namespace, and no other: the functions of tasker_requester, and the namespace''s events. Not the request queue, where a request for any namespace could be sent. Raises 42704 for an unknown role or namespace, 0LP01 for a role of tasker_pg.';
