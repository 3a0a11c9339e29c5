create or replace function tasker.grant_author(role text, namespace text)
returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
begin
  perform tasker._grant('author', grant_author.role, grant_author.namespace, null);
end $$;
comment on function tasker.grant_author is
  'Lets a role register and retire templates of one namespace, and no other: the functions of tasker_author. The namespace need not exist yet; then the role may create it, by its first template too. Raises 42704 for an unknown role, 42602 for what cannot name a namespace, 0LP01 for a role of tasker_pg.';
