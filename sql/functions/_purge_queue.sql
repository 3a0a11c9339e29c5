-- Takes every message from a namespace's queue that is not of an attempt in flight: those of attempts that are over, which
-- their plain workers have not deleted, and what is no step message. One that somebody holds locked is left, and all are
-- while somebody holds the queue as a whole.
create or replace function tasker._purge_queue(namespace_id bigint, namespace text)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
begin
  if to_regclass(format('pgmq.%I', 'q_' || _purge_queue.namespace || '_queue')) is null
    or tasker._queue_is_held(_purge_queue.namespace)
  then
    return;
  end if;
  execute format(
    $sql$
      delete from pgmq.%1$I q
      where q.msg_id in (
        select l.msg_id
        from pgmq.%1$I l
        where l.msg_id not in (
          select s.msg_id
          from tasker.tasks t
          join tasker.steps s on s.step_id between t.task_id << 16 and (t.task_id << 16) + 65535
          where t.namespace_id = $1 and t.state = 'in_progress' and s.state in ('enqueued', 'in_progress') and s.msg_id is not null)
        for update of l skip locked)
    $sql$, 'q_' || _purge_queue.namespace || '_queue')
  using _purge_queue.namespace_id;
end $$;
