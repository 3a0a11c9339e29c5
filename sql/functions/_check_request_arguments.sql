create or replace function tasker._check_request_arguments(
  contexts jsonb[], priority integer, idempotency_keys text[], run_at timestamptz, tags text[], bypass_steps text[], claim_timeout_seconds integer)
returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  fault text;
begin
  fault := case
    when cardinality(contexts) > 10000
      then format('there are %s contexts in one call, more than 10000', cardinality(contexts))
    when exists (select from unnest(contexts) c where c is null or jsonb_typeof(c) <> 'object')
      then 'context must be a JSON object'
    when _check_request_arguments.priority is null or _check_request_arguments.priority not between 0 and 4
      then format('priority must be between 0 (background) and 4 (urgent), not %s', coalesce(_check_request_arguments.priority::text, 'NULL'))
    when idempotency_keys is not null and cardinality(idempotency_keys) <> cardinality(contexts)
      then format('there are %s contexts and %s idempotency_keys', cardinality(contexts), cardinality(idempotency_keys))
    when exists (select from unnest(idempotency_keys) k where length(k) not between 1 and 512)
      then 'an idempotency_key has 1 to 512 characters'
    when not isfinite(_check_request_arguments.run_at) then 'run_at must be a finite time'
    when array_position(tags, null) is not null then 'tags must not contain NULL'
    when array_position(bypass_steps, null) is not null then 'bypass_steps must not contain NULL'
    when _check_request_arguments.claim_timeout_seconds not between 1 and 86400
      then format('claim_timeout_seconds must be between 1 and 86400, not %s', _check_request_arguments.claim_timeout_seconds)
  end;
  if fault is not null then
    raise exception using errcode = 'invalid_parameter_value', message = fault;
  end if;
end $$;
