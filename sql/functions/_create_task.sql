-- Makes a task of a request that nothing is in the way of, as _create_tasks does, and returns its id. Rows of values need
-- no arrays, scans and common table expressions: one request_task costs 77 us of CPU, by _create_tasks 189; with a key 91
-- and 536 (the loop of one session, commits included).
create or replace function tasker._create_task(request tasker._task_request, at timestamptz)
returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  lock constant bigint := tasker._request_lock(request);
  key  text;
  hash bytea;
  id   bigint;
begin
  if lock is not null then
    perform pg_advisory_xact_lock(lock);
    if request.idempotency_key is not null then
      key := request.template_name || '/' || request.idempotency_key;
      select t.task_id into id from tasker.tasks t where t.namespace_id = request.namespace_id and t.identity_key = key;
    else
      hash := tasker._context_hash(request.template_id, request.context);
      select min(t.task_id) into id from tasker.tasks t where t.context_hash = hash and t.finished_at is null;
    end if;
    if id is not null then
      return id;
    end if;
    if hash is not null then
      perform tasker._need_no_other_request(hash);
    end if;
  end if;

  insert into tasker.tasks (template_id, namespace_id, created_at, run_at, correlation_id, parent_correlation_id,
    claim_timeout_seconds, priority, context, identity_key, context_hash, initiator, source_system, reason, tags,
    bypass_steps)
  values (request.template_id, request.namespace_id, at, request.run_at,
    coalesce(request.correlation_id, request.parent_correlation_id, tasker._uuid7()), request.parent_correlation_id,
    request.claim_timeout_seconds, request.priority, request.context, key, hash, request.initiator,
    request.source_system, request.reason, request.tags, request.bypass_steps)
  returning tasks.task_id into id;
  if request.run_at > at then
    insert into tasker.timers (fire_at, kind, task_id) values (request.run_at, 'start', id);
  else
    insert into tasker.waiting (namespace_id, template_id, task_id, since, priority)
    values (request.namespace_id, request.template_id, id, at, request.priority);
  end if;
  insert into tasker.task_transitions (task_id, created_at, to_state, actor) values (id, at, 'pending', session_user);
  perform tasker._wake();
  return id;
end $$;
