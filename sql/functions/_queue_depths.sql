-- The two orchestration queues, every namespace's queue and the event queues that there are, with their numbers of messages, all
-- and visible. A queue that should be there and is not has is_there = false and NULLs. The first 10,000 messages are counted,
-- from the first on by the primary key, since a busy queue leaves empty pages behind that a scan of the table would read;
-- more are estimated from a sample of 200 pages.
create or replace function tasker._queue_depths()
returns table (
  queue_name         text,
  namespace_id       bigint,
  is_there           boolean,
  depth              bigint,
  visible            bigint,
  oldest_enqueued_at timestamptz,
  estimated          boolean
)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
#variable_conflict error
declare
  most constant integer := 10000;
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
        'select true, count(*), count(*) filter (where q.vt <= clock_timestamp()), min(q.enqueued_at), false
         from (select q.vt, q.enqueued_at from pgmq.%I q order by q.msg_id limit $1) q',
        'q_' || _queue_depths.queue_name)
      into _queue_depths.is_there, _queue_depths.depth, _queue_depths.visible, _queue_depths.oldest_enqueued_at,
        _queue_depths.estimated
      using most;
      if _queue_depths.depth = most then
        execute format(
          'select greatest(count(*) * 100 / p.percent, $1), count(*) filter (where q.vt <= clock_timestamp()) * 100 / p.percent, true
           from (select least(100, 100 * 200 / (pg_relation_size(%1$L) / current_setting(''block_size'')::float8)) as percent) p
           cross join lateral (select q.vt from pgmq.%2$I q tablesample system (p.percent) repeatable (0)) q
           group by p.percent',
          'pgmq.' || quote_ident('q_' || _queue_depths.queue_name), 'q_' || _queue_depths.queue_name)
        into _queue_depths.depth, _queue_depths.visible, _queue_depths.estimated
        using most;
      end if;
    exception when undefined_table then
      _queue_depths.is_there := false;
      _queue_depths.depth := null;
      _queue_depths.visible := null;
      _queue_depths.oldest_enqueued_at := null;
      _queue_depths.estimated := null;
    end;
    return next;
  end loop;
end $$;
