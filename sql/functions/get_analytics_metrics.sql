create or replace function tasker.get_analytics_metrics(
  since     timestamptz default tasker.clock() - interval '1 hour',
  namespace text default null
)
returns table (
  measured_since         timestamptz,
  measured_at            timestamptz,
  tasks_created          bigint,
  tasks_completed        bigint,
  tasks_failed           bigint,
  tasks_cancelled        bigint,
  tasks_open             bigint,
  task_success_rate      double precision,
  avg_task_seconds       double precision,
  p50_task_seconds       double precision,
  p95_task_seconds       double precision,
  tasks_per_minute       double precision,
  steps_completed        bigint,
  steps_failed           bigint,
  retries                bigint,
  step_success_rate      double precision,
  attempt_success_rate   double precision,
  avg_step_seconds       double precision,
  p50_step_seconds       double precision,
  p95_step_seconds       double precision,
  steps_per_minute       double precision,
  in_flight_steps        bigint,
  waiting_tasks          bigint,
  waiting_steps          bigint,
  oldest_waiting_seconds double precision,
  health_score           integer
)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set jit = off
as $$
#variable_conflict error
declare
  at      constant timestamptz := tasker.clock();
  id      bigint;
  minutes double precision;
  task    record;
  step    record;
  now     record;
begin
  if get_analytics_metrics.namespace is not null then
    id := tasker._namespace_id(get_analytics_metrics.namespace);
  end if;
  if isfinite(get_analytics_metrics.since) and get_analytics_metrics.since < at then
    minutes := date_part('epoch', at - get_analytics_metrics.since) / 60;
  end if;
  select m.* into task from tasker._task_metrics(get_analytics_metrics.since, id) m;
  select m.* into step from tasker._step_metrics(get_analytics_metrics.since, id) m;
  select m.* into now from tasker._backlog_metrics(id, at) m;

  return query
  select
    get_analytics_metrics.since,
    at,
    task.created,
    task.completed,
    task.failed,
    task.cancelled,
    task.created - task.completed - task.failed - task.cancelled,
    task.success_rate,
    task.avg_seconds,
    task.p50_seconds,
    task.p95_seconds,
    task.completed / minutes,
    step.completed,
    step.failed,
    step.retries,
    step.success_rate,
    step.attempt_success_rate,
    step.avg_seconds,
    step.p50_seconds,
    step.p95_seconds,
    step.completed / minutes,
    now.in_flight_steps,
    now.waiting_tasks,
    now.waiting_steps,
    now.oldest_waiting_seconds,
    floor(100 * least(
      coalesce(task.success_rate, 1),
      coalesce(step.attempt_success_rate, 1),
      600 / greatest(now.oldest_startable_seconds, 600)))::integer;
end $$;
comment on function tasker.get_analytics_metrics(timestamptz, text) is
$$How the tasks created at or after since have fared so far, with what is under way now, in one row; of one namespace or of all (NULL). A task requested earlier is not counted, whenever it ended: choose since longer ago than tasks last.
tasks_completed: complete or resolved_manually; tasks_failed: error; tasks_open: not over; task_success_rate: completed of completed and failed, 0 to 1, NULL when there are none; *_task_seconds: from the start, not from the request, to the end, of completed and failed tasks: average, median and 95th percentile; tasks_per_minute: completed ones by the minutes since then.
steps_completed: complete, those resolved_manually or skipped not counted; steps_failed: error; retries: attempts beyond each step's first; step_success_rate: completed of completed and failed steps; attempt_success_rate: the same with each retry as one more failure; *_step_seconds: last attempt of completed and failed steps, from its start, or from when it was enqueued where a plain worker does not tell the start; steps_per_minute: completed ones.
Now, whenever created: in_flight_steps: enqueued or in progress; waiting_tasks: not started, not delayed; waiting_steps: ready without room; oldest_waiting_seconds: age of the oldest of waiting_tasks, NULL when none waits.
health_score: 0 to 100, the worst of three: task_success_rate, attempt_success_rate, and 10 minutes by oldest_waiting_seconds where that is more than 10 minutes (paused namespaces left out).
Cost: about 1 µs for each step of these tasks, whatever lies before them. Measured with 1,000,000 finished steps of 100,000 tasks: 10 ms for the newest 10,000 steps, 80 ms for 100,000, 1.1 s for all; what waits in long lines is estimated.
Errors: 42704 for an unknown namespace, 22004 when since is NULL (-infinity reads all).$$;
