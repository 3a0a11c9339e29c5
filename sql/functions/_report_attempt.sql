-- Writes the report of the current attempt to its step, and tells the orchestrator with a message that points there.
create or replace function tasker._report_attempt(
  step_id bigint, attempt integer, status text, results jsonb, error jsonb, orchestration_metadata jsonb, execution_time_ms bigint)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
-- (no #variable_conflict line: a parameter is called error, as the pragma's word is)
declare
  -- Points to the report in the step's row; the orchestrator reads it there.
  message constant jsonb := jsonb_build_object(
      'step_id', _report_attempt.step_id, 'attempt', _report_attempt.attempt, 'status', _report_attempt.status, 'reported', true)
    || case when _report_attempt.execution_time_ms is null then '{}'
        else jsonb_build_object('execution_time_ms', _report_attempt.execution_time_ms) end
    || case when _report_attempt.orchestration_metadata is null then '{}'
        else jsonb_build_object('orchestration_metadata', _report_attempt.orchestration_metadata) end;
  fault   text;
begin
  if tasker._is_limited('{worker}') then
    perform tasker._check_tasks('{worker}', array[_report_attempt.step_id >> 16]);
  end if;

  if coalesce(pg_column_size(_report_attempt.results), 0) + coalesce(pg_column_size(_report_attempt.error), 0)
    + coalesce(pg_column_size(_report_attempt.orchestration_metadata), 0) > tasker._setting('max_payload_bytes')::integer then
    raise exception using errcode = 'program_limit_exceeded',
      message = format('the report has more than %s bytes', tasker._setting('max_payload_bytes')),
      detail = 'That is tasker.max_payload_bytes, for results, error and orchestration_metadata together.',
      hint = 'Store it elsewhere, and report where.';
  end if;

  -- Here, while the worker can still be told: a message that is rejected later would leave the step reported for ever.
  if coalesce(_report_attempt.error, _report_attempt.orchestration_metadata, to_jsonb(_report_attempt.execution_time_ms)) is not null
    and _report_attempt.step_id is not null and _report_attempt.attempt is not null then
    fault := tasker._result_fault(message || coalesce(jsonb_build_object('error', _report_attempt.error), '{}'));
    if fault is not null then
      raise exception using errcode = 'invalid_parameter_value', message = fault;
    end if;
  end if;

  update tasker.steps s
  set reported_at = tasker.clock(), reported_status = _report_attempt.status,
    results = case when _report_attempt.status = 'success' then _report_attempt.results else s.results end,
    last_error = case when _report_attempt.status = 'failure'
      then _report_attempt.error else s.last_error end
  where s.step_id = _report_attempt.step_id and s.attempts = _report_attempt.attempt
    and s.state in ('enqueued', 'in_progress') and s.reported_at is null;
  if not found then
    perform tasker._raise_attempt_over(_report_attempt.step_id, _report_attempt.attempt);
  end if;

  perform tasker._send('orchestration_step_results', array[message]);
end $$;
