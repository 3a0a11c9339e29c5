-- Numbers of the steps of tasks created at or after since, of one namespace or of all (NULL), for
-- get_analytics_metrics(). Planned anew for each call, as _task_metrics is.
--
-- No nested loops: the newest ids are where statistics lag behind, and a plan that expects one task and one step there
-- would compare each with each.
create or replace function tasker._step_metrics(
  since                    timestamptz,
  namespace_id             bigint,
  out completed            bigint,
  out failed               bigint,
  out retries              bigint,
  out success_rate         double precision,
  out attempt_success_rate double precision,
  out avg_seconds          double precision,
  out p50_seconds          double precision,
  out p95_seconds          double precision
)
language plpgsql stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_custom_plan
set enable_nestloop = off
as $$
#variable_conflict error
declare
  first_id constant bigint := tasker._first_task_since(_step_metrics.since);
  quantile double precision[];
begin
  with step as (
    select
      s.state = 'complete' as is_completed,
      s.state = 'error' as is_failed,
      greatest(s.attempts - 1, 0) as retries,
      case
        when s.state in ('complete', 'error')
          then date_part('epoch', s.finished_at - coalesce(s.started_at, s.enqueued_at))
      end as seconds
    from tasker.steps s
    join tasker.tasks t on t.task_id = s.task_id
    where s.step_id >= first_id << 16
      and t.task_id >= first_id
      and t.created_at >= _step_metrics.since
      and (_step_metrics.namespace_id is null or t.namespace_id = _step_metrics.namespace_id)
  )
  select
    count(*) filter (where p.is_completed),
    count(*) filter (where p.is_failed),
    coalesce(sum(p.retries), 0),
    avg(p.seconds),
    percentile_cont(array[0.5, 0.95]) within group (order by p.seconds)
  into completed, failed, retries, avg_seconds, quantile
  from step p;

  success_rate := completed::double precision / nullif(completed + failed, 0);
  attempt_success_rate := completed::double precision / nullif(completed + failed + retries, 0);
  p50_seconds := quantile[1];
  p95_seconds := quantile[2];
end $$;
