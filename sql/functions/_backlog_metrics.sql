-- What is under way now in one namespace or in all (NULL), for get_analytics_metrics(). oldest_startable_seconds leaves
-- out paused namespaces. What waits in long lines is estimated.
create or replace function tasker._backlog_metrics(namespace_id bigint, at timestamptz)
returns table (
  in_flight_steps          bigint,
  waiting_tasks            bigint,
  waiting_steps            bigint,
  oldest_waiting_seconds   double precision,
  oldest_startable_seconds double precision
)
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select
    (select coalesce(sum(d.delta), 0)::bigint
     from tasker.in_flight_deltas d
     where _backlog_metrics.namespace_id is null or d.namespace_id = _backlog_metrics.namespace_id),
    coalesce(sum(w.tasks), 0)::bigint,
    coalesce(sum(w.steps), 0)::bigint,
    date_part('epoch', at - min(w.oldest_task_since)),
    date_part('epoch', at - min(w.oldest_task_since) filter (where not n.paused))
  from tasker._waiting_work(at) w
  join tasker.namespaces n on n.namespace_id = w.namespace_id
  where _backlog_metrics.namespace_id is null or w.namespace_id = _backlog_metrics.namespace_id;
$$;
