-- The advisory lock that guards the identity of a request; NULL when it needs none: it has no idempotency key, and its
-- template's identity strategy is not strict.
create or replace function tasker._key_lock(request tasker._task_request)
returns bigint
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
begin
  return (
    select case
      when request.idempotency_key is not null
        then tasker._lock_key('key', format('%s/%s/%s', tt.namespace_id, tt.name, request.idempotency_key))
      when tt.identity_strategy = 'strict' then tasker._lock_key('key', encode(tasker._context_hash(request), 'hex'))
    end
    from tasker.task_templates tt
    where tt.template_id = request.template_id);
end $$;
