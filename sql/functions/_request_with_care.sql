-- Starts a task, whatever its request and its template ask for, and says what is wrong. Most are done in Rust
-- (src/process/request.rs).
create or replace function tasker._request_with_care(
  namespace text, name text, context jsonb, version text, priority integer, idempotency_key text, run_at timestamptz,
  correlation_id uuid, parent_correlation_id uuid, initiator text, source_system text, reason text, tags text[],
  bypass_steps text[], claim_timeout_seconds integer)
returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  template    record;
  at          timestamptz;
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
    perform tasker._check_namespace('{requester}', _request_with_care.namespace);
  end if;
  fault := tasker._argument_fault(_request_with_care.context, _request_with_care.idempotency_key, _request_with_care.priority,
    _request_with_care.run_at, _request_with_care.tags, _request_with_care.bypass_steps,
    _request_with_care.claim_timeout_seconds);
  if fault is not null then
    raise exception using errcode = 'invalid_parameter_value', message = fault;
  end if;
  -- What _keep_namespace does where nobody drops the namespace.
  if current_setting('transaction_isolation') <> 'read committed'
    or not pg_try_advisory_xact_lock_shared(tasker._lock_key('requests', _request_with_care.namespace)) then
    perform tasker._keep_namespace(_request_with_care.namespace);
  end if;
  select f.* into template
  from tasker._find_template(_request_with_care.namespace, _request_with_care.name, _request_with_care.version) f;
  if template.template_id is null then
    perform tasker._raise_no_template(_request_with_care.namespace, _request_with_care.name, _request_with_care.version);
  end if;
  at := tasker.clock();
  request := row(template.template_id, template.default_context || _request_with_care.context,
    _request_with_care.idempotency_key, _request_with_care.priority, _request_with_care.run_at,
    _request_with_care.correlation_id, _request_with_care.parent_correlation_id, _request_with_care.initiator,
    _request_with_care.source_system, _request_with_care.reason, coalesce(_request_with_care.tags, '{}'),
    coalesce(_request_with_care.bypass_steps, '{}'), coalesce(_request_with_care.claim_timeout_seconds, 60), null,
    template.namespace_id, template.template_name, template.identity_strategy, template.has_input_schema);
  -- A key alone is in the way of nothing. 1024 is the least that tasker.max_payload_bytes can be.
  if request.idempotency_key is null or template.identity_strategy <> 'always_unique' or template.has_input_schema
    or pg_column_size(request.context) > 1024 or cardinality(request.tags) > 0 or cardinality(request.bypass_steps) > 0
    or length(concat(request.initiator, request.source_system, request.reason)) > 1024
  then
    fault := tasker._request_obstacle(_request_with_care.namespace, _request_with_care.name, _request_with_care.version, request);
    if fault is not null then
      perform tasker._raise_obstacle(fault, _request_with_care.namespace, _request_with_care.name);
    end if;
  end if;
  if request.idempotency_key is not null or template.identity_strategy = 'strict' then
    select i.* into identity from tasker._hold_identity(request) i;
    if identity.task_id is not null then
      return identity.task_id;
    end if;
    key := identity.identity_key;
    hash := identity.context_hash;
  end if;

  id := nextval('tasker.tasks_task_id_seq');
  correlation := coalesce(request.correlation_id, request.parent_correlation_id, tasker._uuid7());
  written := tasker._write_request(id, request.template_id, request.namespace_id, request.run_at, correlation,
    request.parent_correlation_id, request.claim_timeout_seconds, request.priority::smallint, request.context, key, hash,
    request.initiator, request.source_system, request.reason, request.tags, request.bypass_steps, at);
  return tasker._waking(id);
end $$;
