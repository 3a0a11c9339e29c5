create or replace function tasker.discard_rejected_message(id bigint)
returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
begin
  delete from tasker.rejected_messages r where r.rejected_message_id = discard_rejected_message.id;
  return found;
end $$;
comment on function tasker.discard_rejected_message is
  'Deletes a rejected message for good. Returns false when there is none with this id.';
