-- Numbers of the tasks created at or after since, of one namespace or of all (NULL), for get_analytics_metrics().
--
-- Planned anew for each call: how much lies beyond the first task id decides between a walk along the index and a scan.
create or replace function tasker._task_metrics(
  since            timestamptz,
  namespace_id     bigint,
  out created      bigint,
  out completed    bigint,
  out failed       bigint,
  out cancelled    bigint,
  out success_rate double precision,
  out avg_seconds  double precision,
  out p50_seconds  double precision,
  out p95_seconds  double precision
)
language plpgsql stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_custom_plan
as $$
#variable_conflict error
declare
  first_id constant bigint := tasker._first_task_since(_task_metrics.since);
  quantile double precision[];
begin
  with task as (
    select
      t.state in ('complete', 'resolved_manually') as is_completed,
      t.state = 'error' as is_failed,
      t.state = 'cancelled' as is_cancelled,
      case
        when t.state in ('complete', 'resolved_manually', 'error')
          then date_part('epoch', t.finished_at - t.started_at)
      end as seconds
    from tasker.tasks t
    where t.task_id >= first_id
      and t.created_at >= _task_metrics.since
      and (_task_metrics.namespace_id is null or t.namespace_id = _task_metrics.namespace_id)
  )
  select
    count(*),
    count(*) filter (where k.is_completed),
    count(*) filter (where k.is_failed),
    count(*) filter (where k.is_cancelled),
    avg(k.seconds),
    percentile_cont(array[0.5, 0.95]) within group (order by k.seconds)
  into created, completed, failed, cancelled, avg_seconds, quantile
  from task k;

  success_rate := completed::double precision / nullif(completed + failed, 0);
  p50_seconds := quantile[1];
  p95_seconds := quantile[2];
end $$;
