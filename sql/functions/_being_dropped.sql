-- Of the templates of requests, those whose namespace somebody is dropping, or has dropped just now; NULL = none. The
-- namespaces of the others are kept until the caller's transaction ends, as _keep_namespace does, but without waiting.
create or replace function tasker._being_dropped(requests tasker._task_request[])
returns bigint[]
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  kept     bigint[];
  template bigint[];
begin
  select array_agg(distinct r.template_id) into template from unnest(requests) r;
  with namespace as materialized (
    select n.namespace_id, pg_try_advisory_xact_lock_shared(tasker._lock_key('requests', n.name)) as got
    from (
      select distinct n.name, n.namespace_id
      from tasker.task_templates tt
      join tasker.namespaces n on n.namespace_id = tt.namespace_id
      where tt.template_id = any(template)
      order by n.name
    ) n
  )
  select array_agg(n.namespace_id) filter (where n.got) into kept from namespace n;

  -- A new statement, hence a new snapshot: a drop that has ended before the lock took the templates with it.
  return (
    select array_agg(i.template_id)
    from unnest(template) i(template_id)
    where not exists (
      select from tasker.task_templates tt where tt.template_id = i.template_id and tt.namespace_id = any(kept)));
end $$;
