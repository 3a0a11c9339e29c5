-- The namespaces in which the caller has one of these rights; NULL = all.
--
-- A caller that may call the function and was granted nothing comes through somebody's SECURITY DEFINER function, whose
-- owner may. Who that is cannot be told. So it counts as nobody as long as there is a role whose right is limited: it
-- could be that one's function, lent to get around the limit. Nor can be told whose function runs while the server
-- maintains a table or materialized view.
create or replace function tasker._reach(rights text[])
returns text[]
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  reach text[];
begin
  if not tasker._is_limited(rights) then
    return null;
  end if;
  select array_agg(distinct g.namespace) into reach
  from tasker.namespace_grants g
  where g.granted = any(rights) and pg_has_role(tasker._caller(), g.role, 'usage');
  if reach is not null then
    return reach;
  end if;
  return case when exists (
    select
    from unnest(rights) r(name)
    cross join jsonb_array_elements_text(tasker._rights() -> r.name) f(name)
    join pg_proc p on p.pronamespace = 'tasker'::regnamespace and p.proname = f.name
    cross join aclexplode(p.proacl) a
    where a.grantee not in (select o.oid from pg_roles o where o.rolname = any(tasker._role_names()))
  ) then '{}'::text[] end;
end $$;
