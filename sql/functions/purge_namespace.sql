create or replace function tasker.purge_namespace(name text, reason text default null)
returns integer
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  id   constant bigint := tasker._namespace_id(purge_namespace.name);
  task record;
  done integer := 0;
begin
  for task in
    select t.task_id
    from tasker.tasks t
    where t.namespace_id = id and t.state in ('pending', 'in_progress')
    order by t.task_id
  loop
    if tasker.cancel_task(task.task_id, coalesce(purge_namespace.reason, 'the namespace was purged')) then
      done := done + 1;
    end if;
  end loop;
  perform tasker._purge_queue(id, purge_namespace.name);
  return done;
end $$;
comment on function tasker.purge_namespace is
  'Empties a namespace: cancels every task in it that is not over, and takes from its queue all messages that nobody holds, those of attempts that ended before included. Returns how many tasks. Raises 42704 for an unknown namespace.';
