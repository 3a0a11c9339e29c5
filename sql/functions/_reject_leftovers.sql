-- Sets all messages of a queue apart that are older than this installation.
create or replace function tasker._reject_leftovers(queue_name text)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  msg_ids bigint[];
begin
  execute format('select array_agg(q.msg_id) from pgmq.%I q', 'q_' || _reject_leftovers.queue_name) into msg_ids;
  if msg_ids is not null then
    perform tasker._reject(_reject_leftovers.queue_name, msg_ids,
      array_fill('left over from an earlier installation of tasker_pg'::text, array[cardinality(msg_ids)]), tasker.clock());
  end if;
end $$;
