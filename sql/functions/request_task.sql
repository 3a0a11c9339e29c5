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
  -- Nearly all requests. What only the others need is not even asked for: each expression costs its preparation, in every
  -- transaction anew.
  plain       constant boolean := jsonb_typeof(request_task.context) = 'object' and request_task.priority between 0 and 4
    and request_task.claim_timeout_seconds between 1 and 86400 and request_task.idempotency_key is null
    and request_task.run_at is null and cardinality(request_task.tags) + cardinality(request_task.bypass_steps) = 0
    and length(concat(request_task.initiator, request_task.source_system, request_task.reason)) <= 1024;
  template    record;
  at          timestamptz;
  merged      jsonb;
  request     tasker._task_request;
  identity    record;
  key         text;
  hash        bytea;
  id          bigint;
  correlation uuid;
  written     boolean;
  fault       text;
begin
  if tasker._is_limited('{requester}') then
    perform tasker._check_namespace('{requester}', request_task.namespace);
  end if;
  if plain is not true then
    fault := tasker._argument_fault(request_task.context, request_task.idempotency_key, request_task.priority,
      request_task.run_at, request_task.tags, request_task.bypass_steps, request_task.claim_timeout_seconds);
    if fault is not null then
      raise exception using errcode = 'invalid_parameter_value', message = fault;
    end if;
  end if;
  -- What _keep_namespace does where nobody drops the namespace.
  if current_setting('transaction_isolation') <> 'read committed'
    or not pg_try_advisory_xact_lock_shared(tasker._lock_key('requests', request_task.namespace)) then
    perform tasker._keep_namespace(request_task.namespace);
  end if;
  select f.* into template
  from tasker._find_template(request_task.namespace, request_task.name, request_task.version) f;
  if template.template_id is null then
    perform tasker._raise_no_template(request_task.namespace, request_task.name, request_task.version);
  end if;
  at := tasker.clock();
  merged := template.default_context || request_task.context;

  -- 1024 is the least that tasker.max_payload_bytes can be.
  if plain is not true or template.identity_strategy <> 'always_unique' or template.has_input_schema
    or pg_column_size(merged) > 1024
  then
    request := row(template.template_id, merged, request_task.idempotency_key, request_task.priority,
      request_task.run_at, request_task.correlation_id, request_task.parent_correlation_id, request_task.initiator,
      request_task.source_system, request_task.reason, coalesce(request_task.tags, '{}'),
      coalesce(request_task.bypass_steps, '{}'), coalesce(request_task.claim_timeout_seconds, 60), null,
      template.namespace_id, template.template_name, template.identity_strategy, template.has_input_schema);
    -- A key alone is in the way of nothing.
    if request_task.idempotency_key is null or template.identity_strategy <> 'always_unique' or template.has_input_schema
      or pg_column_size(merged) > 1024 or cardinality(request_task.tags) > 0 or cardinality(request_task.bypass_steps) > 0
      or length(concat(request_task.initiator, request_task.source_system, request_task.reason)) > 1024
    then
      fault := tasker._request_obstacle(request_task.namespace, request_task.name, request_task.version, request);
      if fault is not null then
        perform tasker._raise_obstacle(fault, request_task.namespace, request_task.name);
      end if;
    end if;
    if request_task.idempotency_key is not null or template.identity_strategy = 'strict' then
      select i.* into identity from tasker._hold_identity(request) i;
      if identity.task_id is not null then
        return identity.task_id;
      end if;
      key := identity.identity_key;
      hash := identity.context_hash;
    end if;
  end if;

  id := nextval('tasker.tasks_task_id_seq');
  correlation := coalesce(request_task.correlation_id, request_task.parent_correlation_id, tasker._uuid7());
  written := tasker._write_request(id, template.template_id, template.namespace_id, request_task.run_at, correlation,
    request_task.parent_correlation_id, coalesce(request_task.claim_timeout_seconds, 60), request_task.priority::smallint, merged,
    key, hash, request_task.initiator, request_task.source_system, request_task.reason, coalesce(request_task.tags, '{}'),
    coalesce(request_task.bypass_steps, '{}'), at);
  return tasker._waking(id);
end $$;
comment on function tasker.request_task is
  'Starts a task in the caller''s transaction and returns its task_id: after a rollback there is none, at commit the orchestrator wakes. An idempotency_key that the namespace has seen with this template returns the existing id. Arguments and errors as request_tasks().';
