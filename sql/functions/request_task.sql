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
declare
  request  tasker._task_request;
  template record;
  fault    text := tasker._argument_fault(request_task.context, request_task.idempotency_key, request_task.priority,
    request_task.run_at, request_task.tags, request_task.bypass_steps, request_task.claim_timeout_seconds);
begin
  if tasker._is_limited('{requester}') then
    perform tasker._check_namespace('{requester}', request_task.namespace);
  end if;
  if fault is not null then
    raise exception using errcode = 'invalid_parameter_value', message = fault;
  end if;
  perform tasker._keep_namespace(request_task.namespace);
  select f.* into template
  from tasker._find_template(request_task.namespace, request_task.name, request_task.version) f;
  if template.template_id is null then
    perform tasker._raise_no_template(request_task.namespace, request_task.name, request_task.version);
  end if;
  request := row(template.template_id, template.default_context || request_task.context, request_task.idempotency_key,
    request_task.priority, request_task.run_at, request_task.correlation_id, request_task.parent_correlation_id,
    request_task.initiator, request_task.source_system, request_task.reason, coalesce(request_task.tags, '{}'),
    coalesce(request_task.bypass_steps, '{}'), coalesce(request_task.claim_timeout_seconds, 60), null,
    template.namespace_id, template.template_name, template.identity_strategy, template.has_input_schema);
  fault := tasker._request_obstacle(request_task.namespace, request_task.name, request_task.version, request);
  if fault is not null then
    perform tasker._raise_obstacle(fault, request_task.namespace, request_task.name);
  end if;
  return tasker._create_task(request, tasker.clock());
end $$;
comment on function tasker.request_task is
  'Starts a task in the caller''s transaction and returns its task_id: after a rollback there is none, at commit the orchestrator wakes. An idempotency_key that the namespace has seen with this template returns the existing id. Arguments and errors as request_tasks().';
