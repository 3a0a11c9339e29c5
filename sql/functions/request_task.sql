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
language c security definer
set search_path = pg_catalog, pg_temp
as 'MODULE_PATHNAME', 'tasker_request_task';
comment on function tasker.request_task is
  'Starts a task in the caller''s transaction and returns its task_id: after a rollback there is none, at commit the orchestrator wakes. An idempotency_key that the namespace has seen with this template returns the existing id. Arguments and errors as request_tasks().';
