-- The steps of many tasks (or those of them in step_ids) with their readiness, computed from the graph and not from
-- steps.remaining_parents. Unknown tasks have no rows. Cost: linear in steps and edges.
--
-- All joins lead from base tables through unique keys, and nothing is joined with the output of a CTE or an aggregate:
-- their sizes are guesses, and a nested loop chosen by a wrong guess would make a fan-in of n steps cost n².
create or replace function tasker._step_readiness(task_ids bigint[], step_ids bigint[] default null)
returns table (
  task_id                 bigint,
  step_id                 bigint,
  template_step_id        bigint,
  step_index              integer,
  level                   integer,
  name                    text,
  current_state           text,
  dependencies_satisfied  boolean,
  retry_eligible          boolean,
  ready_for_execution     boolean,
  last_failure_at         timestamptz,
  next_retry_at           timestamptz,
  total_parents           integer,
  completed_parents       integer,
  attempts                integer,
  max_attempts            integer,
  backoff_request_seconds integer,
  last_attempted_at       timestamptz
)
language plpgsql stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_custom_plan
as $$
#variable_conflict error
declare
  at constant timestamptz := tasker.clock();
begin
  return query
  with nodes as (
    select
      t.task_id,
      ts.template_step_id,
      ts.step_index,
      ts.level,
      ts.name,
      ts.retryable,
      -- a task without steps has not started, or ended before it could
      case
        when s.state is not null then s.state
        when ts.name = any(t.bypass_steps) then 'skipped'
        when t.finished_at is not null then 'cancelled'
        else 'pending'
      end as state,
      coalesce(s.attempts, 0) as attempts,
      coalesce(s.max_attempts, ts.max_attempts) as max_attempts,
      s.next_retry_at,
      s.last_failure_at,
      s.backoff_request_seconds,
      greatest(s.enqueued_at, s.started_at) as last_attempted_at,
      count(d.parent_index)::integer as total_parents,
      (count(d.parent_index) filter (where case
        when p.state is not null then p.state in ('complete', 'resolved_manually', 'skipped')
        else pts.name = any(t.bypass_steps)
      end))::integer as completed_parents,
      t.finished_at is null and t.stopping is null
        and (t.started_at is not null or t.run_at is null or t.run_at <= at) as task_goes_on
    from tasker.tasks t
    join tasker.template_steps ts on ts.template_id = t.template_id
    left join tasker.steps s on s.step_id = (t.task_id << 16) + 1 + ts.step_index
    left join tasker.template_dependencies d on d.template_id = ts.template_id and d.child_index = ts.step_index
    left join tasker.template_steps pts on pts.template_id = d.template_id and pts.step_index = d.parent_index
    left join tasker.steps p on p.step_id = (t.task_id << 16) + 1 + d.parent_index
    where t.task_id = any(_step_readiness.task_ids)
      and (_step_readiness.step_ids is null or (t.task_id << 16) + 1 + ts.step_index = any(_step_readiness.step_ids))
    group by t.task_id, ts.template_step_id, s.step_id
  ), judged as (
    select
      n.*,
      n.completed_parents = n.total_parents as satisfied,
      case n.state
        when 'waiting_for_retry' then true
        when 'pending' then n.attempts < n.max_attempts
        when 'enqueued' then n.retryable and n.attempts < n.max_attempts
        when 'in_progress' then n.retryable and n.attempts < n.max_attempts
        else false
      end as eligible
    from nodes n
  )
  select
    j.task_id,
    (j.task_id << 16) + 1 + j.step_index,
    j.template_step_id,
    j.step_index,
    j.level,
    j.name,
    j.state,
    j.satisfied,
    j.eligible,
    j.satisfied and j.eligible and j.task_goes_on
      and j.state in ('pending', 'waiting_for_retry')
      and (j.next_retry_at is null or j.next_retry_at <= at),
    j.last_failure_at,
    j.next_retry_at,
    j.total_parents,
    j.completed_parents,
    j.attempts,
    j.max_attempts,
    j.backoff_request_seconds,
    j.last_attempted_at
  from judged j
  order by j.task_id, j.step_index;
end $$;
