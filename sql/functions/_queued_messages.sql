-- Which steps' messages are in a namespace's queue, how often each was read, and its vt. None when the queue is gone; all
-- of them, unread, while somebody holds it as a whole: nothing can be said of them then. A number alone says nothing: in
-- a queue that was dropped and made again it is another step's.
create or replace function tasker._queued_messages(namespace_id bigint, msg_ids bigint[], step_ids bigint[])
returns table (step_id bigint, read_ct integer, vt timestamptz)
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
      return query select i.step_id, 0, clock_timestamp() from unnest(_queued_messages.step_ids) i(step_id);
      return;
    end;
    return query execute format(
      $sql$
        select i.step_id, q.read_ct, q.vt
        from unnest($1, $2) i(msg_id, step_id)
        join pgmq.%I q on q.msg_id = i.msg_id
        where q.message -> 'step_id' = to_jsonb(i.step_id)
      $sql$, queue_table)
    using _queued_messages.msg_ids, _queued_messages.step_ids;
  end if;
end $$;
