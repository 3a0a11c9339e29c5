-- What is wrong with the arguments of request_task() whatever the template is; NULL = nothing. One expression, so that
-- it becomes part of the caller's.
create or replace function tasker._argument_fault(
  context jsonb, idempotency_key text, priority integer, run_at timestamptz, tags text[], bypass_steps text[],
  claim_timeout_seconds integer)
returns text
language sql stable parallel safe
return case
  when jsonb_typeof(_argument_fault.context) is distinct from 'object' then 'context must be a JSON object'
  when (_argument_fault.priority between 0 and 4) is not true
    then format('priority must be between 0 (background) and 4 (urgent), not %s', coalesce(_argument_fault.priority::text, 'NULL'))
  when length(_argument_fault.idempotency_key) not between 1 and 512 then 'an idempotency_key has 1 to 512 characters'
  when not isfinite(_argument_fault.run_at) then 'run_at must be a finite time'
  when array_position(_argument_fault.tags, null) is not null then 'tags must not contain NULL'
  when array_position(_argument_fault.bypass_steps, null) is not null then 'bypass_steps must not contain NULL'
  when _argument_fault.claim_timeout_seconds not between 1 and 86400
    then format('claim_timeout_seconds must be between 1 and 86400, not %s', _argument_fault.claim_timeout_seconds)
end;
