-- Raises 42501 when one of the tasks is in a namespace in which the caller has none of these rights. Tasks that do not
-- exist are left to the caller of this.
create or replace function tasker._check_tasks(rights text[], task_ids bigint[])
returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  reach      constant text[] := tasker._reach(rights);
  foreign_id bigint;
begin
  if reach is null then
    return;
  end if;
  select min(t.task_id) into foreign_id
  from unnest(_check_tasks.task_ids) i(task_id)
  cross join lateral (
    select t.task_id, t.namespace_id from tasker.tasks t where t.task_id = i.task_id offset 0
  ) t
  join tasker.namespaces n on n.namespace_id = t.namespace_id
  where n.name <> all(reach);
  if foreign_id is not null then
    perform tasker._raise_out_of_reach(rights, format('task %s', foreign_id));
  end if;
end $$;
