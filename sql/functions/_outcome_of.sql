-- How a result says that an attempt ended; the result is well-formed.
create or replace function tasker._outcome_of(step_id bigint, attempt integer, from_state text, result jsonb)
returns tasker._outcome
language sql immutable parallel safe
return row(
  _outcome_of.step_id,
  _outcome_of.attempt,
  _outcome_of.from_state,
  lower(_outcome_of.result ->> 'status') in ('success', 'completed'),
  _outcome_of.result -> 'result_data',
  tasker._error_object(_outcome_of.result -> 'error'),
  nullif(_outcome_of.result -> 'orchestration_metadata', 'null'),
  (_outcome_of.result ->> 'execution_time_ms')::numeric)::tasker._outcome;
