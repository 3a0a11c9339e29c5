-- Leaves messages of an orchestration queue for a pass 50 ms later: somebody's open transaction is in the way.
create or replace function tasker._defer(pass tasker._pass, queue_name text, msg_ids bigint[], at timestamptz)
returns tasker._pass
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
begin
  execute format($sql$
    update pgmq.%I q set vt = clock_timestamp() + interval '50 milliseconds' where q.msg_id = any($1)
  $sql$, 'q_' || _defer.queue_name)
  using _defer.msg_ids;
  -- The queue's mark may have passed them by then.
  perform tasker._hold_message(_defer.queue_name, (select min(i.msg_id) from unnest(_defer.msg_ids) i(msg_id)), 50);
  pass.next_due_at := least(pass.next_due_at, at + interval '50 milliseconds');
  return pass;
end $$;
