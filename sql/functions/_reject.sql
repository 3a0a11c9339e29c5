-- Moves messages that cannot be used from an orchestration queue to rejected_messages. One that somebody else
-- holds is left: the caller of the isolated pass may have lost its lock with what failed.
create or replace function tasker._reject(queue_name text, msg_ids bigint[], reasons text[], at timestamptz)
returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  rejected integer;
begin
  execute format(
    $sql$
      with gone as (
        delete from pgmq.%1$I q using unnest($2, $3) r(msg_id, reason)
        where q.msg_id = r.msg_id
          and q.msg_id in (select l.msg_id from pgmq.%1$I l where l.msg_id = any($2) for update skip locked)
        returning q.msg_id, q.message, q.enqueued_at, r.reason
      )
      insert into tasker.rejected_messages (queue_name, msg_id, message, reason, enqueued_at, rejected_at)
      select $1, g.msg_id, g.message, g.reason, g.enqueued_at, $4
      from gone g
      order by g.msg_id
    $sql$, 'q_' || _reject.queue_name)
  using _reject.queue_name, _reject.msg_ids, _reject.reasons, _reject.at;
  get diagnostics rejected = row_count;
  return rejected;
end $$;
