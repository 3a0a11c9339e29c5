-- The two orchestration queues, every namespace's queue and the event queues that there are, with their numbers of messages, all
-- and visible. A queue that should be there and is not has is_there = false and NULLs. Counts the messages: cost grows with depth and with dead rows.
create or replace function tasker._queue_depths()
returns table (
  queue_name         text,
  namespace_id       bigint,
  is_there           boolean,
  depth              bigint,
  visible            bigint,
  oldest_enqueued_at timestamptz
)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
begin
  for _queue_depths.queue_name, _queue_depths.namespace_id in
    select q.name, null::bigint
    from (values ('orchestration_task_requests'), ('orchestration_step_results')) q(name)
    union all
    (select n.name || k.suffix, n.namespace_id
     from tasker.namespaces n
     cross join (values ('_queue'), ('_events')) k(suffix)
     where k.suffix = '_queue' or to_regclass(format('pgmq.%I', 'q_' || n.name || k.suffix)) is not null
     order by n.name, k.suffix desc)
  loop
    -- A queue may be dropped by hand at any time, even between a look into pg_class and this.
    begin
      execute format(
        'select true, count(*), count(*) filter (where q.vt <= clock_timestamp()), min(q.enqueued_at) from pgmq.%I q',
        'q_' || _queue_depths.queue_name)
      into _queue_depths.is_there, _queue_depths.depth, _queue_depths.visible, _queue_depths.oldest_enqueued_at;
    exception when undefined_table then
      _queue_depths.is_there := false;
      _queue_depths.depth := null;
      _queue_depths.visible := null;
      _queue_depths.oldest_enqueued_at := null;
    end;
    return next;
  end loop;
end $$;
