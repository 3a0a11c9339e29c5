create or replace function tasker.request_task(
  namespace text,
  name text,
  context jsonb default '{}',
  version text default null,
  priority integer default 2,
  idempotency_key text default null,
  run_at timestamptz default null,
  correlation_id uuid default null,
  parent_correlation_id uuid default null,
  initiator text default null,
  source_system text default null,
  reason text default null,
  tags text[] default '{}',
  bypass_steps text[] default '{}',
  claim_timeout_seconds integer default 60)
returns bigint
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
begin
  -- One expression: each costs its preparation, in every transaction anew.
  return coalesce(
    tasker._request_at_once(request_task.namespace, request_task.name, request_task.context, request_task.version,
      request_task.priority, request_task.idempotency_key, request_task.run_at, request_task.correlation_id,
      request_task.parent_correlation_id, request_task.initiator, request_task.source_system, request_task.reason,
      request_task.tags, request_task.bypass_steps, request_task.claim_timeout_seconds),
    tasker._request_with_care(request_task.namespace, request_task.name, request_task.context, request_task.version,
      request_task.priority, request_task.idempotency_key, request_task.run_at, request_task.correlation_id,
      request_task.parent_correlation_id, request_task.initiator, request_task.source_system, request_task.reason,
      request_task.tags, request_task.bypass_steps, request_task.claim_timeout_seconds));
end $$;
comment on function tasker.request_task is
  'Starts a task in the caller''s transaction and returns its task_id: after a rollback there is none, at commit the orchestrator wakes. An idempotency_key that the namespace has seen with this template returns the existing id. Arguments and errors as request_tasks().';
