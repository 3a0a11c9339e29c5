create or replace function tasker.get_slowest_tasks(
  namespace text default null,
  name      text default null,
  since     timestamptz default tasker.clock() - interval '1 hour',
  max_rows  integer default 10
)
returns table (
  task_id        bigint,
  correlation_id uuid,
  namespace      text,
  name           text,
  version        text,
  state          text,
  steps          integer,
  attempts       bigint,
  duration       interval,
  started_at     timestamptz,
  finished_at    timestamptz
)
language sql stable security definer
set search_path = pg_catalog, pg_temp
set jit = off
as $$
  select
    t.task_id,
    t.correlation_id,
    n.name,
    tt.name,
    tt.version,
    t.state,
    tt.step_count,
    (select coalesce(sum(s.attempts), 0)
     from tasker.steps s
     where s.step_id between t.task_id << 16 and (t.task_id << 16) + 65535),
    t.finished_at - t.started_at,
    t.started_at,
    t.finished_at
  from tasker._slowest_tasks(
    get_slowest_tasks.namespace,
    get_slowest_tasks.name,
    get_slowest_tasks.since,
    get_slowest_tasks.max_rows) f(task_id)
  join tasker.tasks t on t.task_id = f.task_id
  join tasker.task_templates tt on tt.template_id = t.template_id
  join tasker.namespaces n on n.namespace_id = tt.namespace_id
  order by t.finished_at - t.started_at desc, t.task_id;
$$;
comment on function tasker.get_slowest_tasks(text, text, timestamptz, integer) is
$$The tasks that took longest, slowest first, at most max_rows (NULL = all): completed ones and those in error, created at or after since; of one namespace and template name, or of all (NULL). What still runs stands in tasker.task_status.
duration: from the start, not from the request, to the end; steps: number of steps of the template; attempts: all tries of all of them.
Cost: below 1 µs for each of these tasks, whatever lies before them, and a look at the steps of those returned. Measured with 1,000,000 finished steps of 100,000 tasks: 1 ms for the newest 1,000 tasks, 9 ms for 10,000, 55 ms for all.
Errors: 42704 for an unknown namespace, 22004 when since is NULL (-infinity reads all), 22023 for a negative max_rows.$$;
