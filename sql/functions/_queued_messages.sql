-- Which of a namespace's messages are in its queue, and how often each was read. None when the queue is gone.
create or replace function tasker._queued_messages(namespace_id bigint, msg_ids bigint[])
returns table (msg_id bigint, read_ct integer)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  queue_table name;
begin
  select 'q_' || n.name || '_queue' into queue_table
  from tasker.namespaces n
  where n.namespace_id = _queued_messages.namespace_id;
  if to_regclass(format('pgmq.%I', queue_table)) is not null then
    return query execute format('select q.msg_id, q.read_ct from pgmq.%I q where q.msg_id = any($1)', queue_table)
    using _queued_messages.msg_ids;
  end if;
end $$;
