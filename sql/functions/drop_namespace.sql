create or replace function tasker.drop_namespace(name text, force boolean default false)
returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  id       constant bigint := tasker._namespace_id(drop_namespace.name);
  open     bigint;
  queued   record;
  task_ids bigint[];
  grantees oid[];
begin
  perform tasker._need_read_committed('drop_namespace');
  -- After this nobody makes a task here any more, and what was made before is seen by the statements below.
  perform pg_advisory_xact_lock(tasker._lock_key('requests', drop_namespace.name));
  perform from tasker.namespaces n where n.namespace_id = id for update;
  if not found then
    perform tasker._namespace_id(drop_namespace.name);
  end if;
  select count(*) into open from tasker.tasks t where t.namespace_id = id and t.finished_at is null;
  if open > 0 and drop_namespace.force is not true then
    raise exception using
      errcode = 'object_in_use',
      message = format('namespace "%s" has %s unfinished tasks', drop_namespace.name, open),
      hint = 'Cancel them first, or pass force => true, which deletes them with all of their history.';
  end if;
  if drop_namespace.force is not true then
    select q.queue_name, q.messages into queued from tasker._leftovers(drop_namespace.name) q limit 1;
    if found then
      raise exception using
        errcode = 'object_in_use',
        message = format('queue "%s" of namespace "%s" holds %s messages', queued.queue_name, drop_namespace.name, queued.messages),
        hint = 'Read them or purge the queue first, or pass force => true, which deletes them.';
    end if;
  end if;

  select array_agg(t.task_id) into task_ids
  from (select t.task_id from tasker.tasks t where t.namespace_id = id order by t.task_id for update) t;
  delete from tasker.held_events h where h.namespace_id = id;
  delete from tasker.in_flight_deltas d where d.namespace_id = id;
  delete from tasker.dead_letters d where d.task_id = any(task_ids);
  perform tasker._delete_tasks(task_ids);
  delete from tasker.task_templates tt where tt.namespace_id = id;
  with revoked as (
    delete from tasker.namespace_grants g where g.namespace = drop_namespace.name returning g.role
  )
  select array_agg(distinct r.role::oid) into grantees from revoked r;
  delete from tasker.namespaces n where n.namespace_id = id;
  perform pgmq.drop_queue(q.queue_name)
  from pgmq.meta q
  where q.queue_name in (drop_namespace.name || '_queue', drop_namespace.name || '_events');
  perform tasker._apply_grants(r.oid) from pg_roles r where r.oid = any(grantees);
end $$;
comment on function tasker.drop_namespace is
  'Deletes a namespace with its queue, templates, finished tasks and their history, and what grant_worker() and its kin gave for it; with force also unfinished tasks and the messages left in its queues. Waits for open requests in it. Raises 42704 for an unknown namespace, 25000 above isolation level read committed, 55006 when tasks are unfinished, or its queue or its events are not empty, and force is not given.';
