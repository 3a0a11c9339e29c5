-- The two orchestration queues with their wake triggers, whatever of them is missing. Not before the identity exists.
create or replace function tasker._ensure_queues()
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  queue_name text;
  sender     text;
begin
  for queue_name, sender in
    values ('orchestration_task_requests', 'tasker_requester'), ('orchestration_step_results', 'tasker_worker')
  loop
    perform tasker._ensure_queue(queue_name, format('%s on {queue} to %s', tasker._queue_right('send'), sender));
    if not exists (
      select from pg_trigger t
      where t.tgrelid = format('pgmq.%I', 'q_' || queue_name)::regclass and t.tgname = 'tasker_wake'
    ) then
      execute format(
        'create trigger tasker_wake after insert on pgmq.%I for each statement execute function tasker._wake_trigger()',
        'q_' || queue_name);
      -- Else DROP EXTENSION would refuse because of the trigger.
      execute format('alter trigger tasker_wake on pgmq.%I depends on extension tasker_pg', 'q_' || queue_name);
    end if;
  end loop;
end $$;
