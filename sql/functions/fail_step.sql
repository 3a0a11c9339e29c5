create or replace function tasker.fail_step(
  step_id bigint,
  attempt integer,
  error jsonb default null,
  retryable boolean default true,
  orchestration_metadata jsonb default null)
returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
-- (no #variable_conflict line: a parameter is called error, as the pragma's word is)
begin
  perform tasker._report_attempt(fail_step.step_id, fail_step.attempt, 'failure', null,
    coalesce(tasker._error_object(fail_step.error),
      jsonb_build_object('message', 'the worker gave no reason', 'context', fail_step.error)) || case when coalesce(fail_step.retryable, true) then '{}' else '{"retryable": false}' end::jsonb,
    fail_step.orchestration_metadata, null);
end $$;
comment on function tasker.fail_step is
  'Reports an attempt as failed, in the caller''s transaction. error: an object {message, error_type, retryable, status_code, backtrace, context}, or a JSON string, which is the message: ''"out of ink"'' or to_jsonb(text). Tried again after a delay while retryable and attempts are left; orchestration_metadata may carry the server''s word on when: {"headers": {"retry-after": "60"}} or {"backoff_hint": {"type": "server_requested", "seconds": 60}}. Fenced as complete_step(): TK001, TK002.';
