-- What is under way now in one namespace or in all (NULL), for get_analytics_metrics(). oldest_startable_seconds leaves
-- out paused namespaces. Reads what waits and the deltas that the engine has not folded yet.
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
    count(*) filter (where w.step_id is null),
    count(*) filter (where w.step_id is not null),
    date_part('epoch', at - min(w.since) filter (where w.step_id is null)),
    date_part('epoch', at - min(w.since) filter (where w.step_id is null and not n.paused))
  from tasker.waiting w
  join tasker.namespaces n on n.namespace_id = w.namespace_id
  where _backlog_metrics.namespace_id is null or w.namespace_id = _backlog_metrics.namespace_id;
$$;
