create or replace function tasker.requeue_rejected_message(id bigint)
returns bigint
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  rejected record;
  msg_id   bigint;
begin
  delete from tasker.rejected_messages r
  where r.rejected_message_id = requeue_rejected_message.id
  returning r.queue_name, r.message into rejected;
  if not found then
    raise exception using errcode = 'undefined_object',
      message = format('rejected message %s does not exist', coalesce(requeue_rejected_message.id::text, 'NULL'));
  end if;
  select s into msg_id from pgmq.send(rejected.queue_name, rejected.message) s;
  return msg_id;
end $$;
comment on function tasker.requeue_rejected_message is
  'Sends a rejected message to its queue again, after what was in its way is mended, and forgets the rejection. Returns the new msg_id. Raises 42704 for an unknown id.';
