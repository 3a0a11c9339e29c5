-- The advisory lock that guards the identity of a request; NULL when it needs none: it has no idempotency key, and its
-- template's identity strategy is not strict. One expression, so that it becomes part of the caller's.
create or replace function tasker._request_lock(request tasker._task_request)
returns bigint
language sql immutable parallel safe
return case
  when (_request_lock.request).idempotency_key is not null
    then tasker._lock_key('key', (_request_lock.request).namespace_id::text || '/' || (_request_lock.request).template_name || '/'
      || (_request_lock.request).idempotency_key)
  when (_request_lock.request).identity_strategy = 'strict'
    then tasker._lock_key('key', encode(tasker._context_hash((_request_lock.request).template_id, (_request_lock.request).context), 'hex'))
end;
