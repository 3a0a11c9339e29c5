-- Which of a namespace's messages are in its queue, how often each was read, and its vt. None when the queue is gone; all of
-- them, unread, while somebody holds it as a whole: nothing can be said of them then.
create or replace function tasker._queued_messages(namespace_id bigint, msg_ids bigint[])
returns table (msg_id bigint, read_ct integer, vt timestamptz)
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
    begin
      execute format('lock table pgmq.%I in access share mode nowait', queue_table);
    exception when lock_not_available then
      return query select i.msg_id, 0, clock_timestamp() from unnest(_queued_messages.msg_ids) i(msg_id);
      return;
    end;
    return query execute format('select q.msg_id, q.read_ct, q.vt from pgmq.%I q where q.msg_id = any($1)', queue_table)
    using _queued_messages.msg_ids;
  end if;
end $$;
