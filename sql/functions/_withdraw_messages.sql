-- Takes the messages of attempts that are over from their queues; only theirs, also where a queue was made again and has
-- given their numbers to others. One that a worker holds locked is left, and all are
-- while somebody holds the queue: their results will be late.
create or replace function tasker._withdraw_messages(step_ids bigint[], msg_ids bigint[])
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  queue record;
begin
  for queue in
    select n.name, array_agg(m.msg_id) as msg_ids, array_agg(m.step_id) as step_ids
    from unnest(_withdraw_messages.step_ids, _withdraw_messages.msg_ids) m(step_id, msg_id)
    join tasker.tasks t on t.task_id = m.step_id >> 16
    join tasker.namespaces n on n.namespace_id = t.namespace_id
    where to_regclass(format('pgmq.%I', 'q_' || n.name || '_queue')) is not null
    group by n.name
    order by n.name
  loop
    continue when tasker._queue_is_held(queue.name || '_queue');
    execute format(
      $sql$
        delete from pgmq.%1$I q
        where q.msg_id in (
          select l.msg_id
          from unnest($1, $2) i(msg_id, step_id)
          join pgmq.%1$I l on l.msg_id = i.msg_id
          where l.message -> 'step_id' = to_jsonb(i.step_id)
          for update of l skip locked)
      $sql$, 'q_' || queue.name || '_queue')
    using queue.msg_ids, queue.step_ids;
  end loop;
end $$;
