-- Writes down transitions of steps; the arrays have an element for each step, metadata and took_ms may be NULL. An insert writes
-- 195 bytes of write-ahead log a row, this 150; in batches of 100 both take the same instructions, half of them for the index.
create or replace function tasker._audit_steps(
  step_ids bigint[], at timestamptz, attempts integer[], from_states text[], to_state text,
  metadata jsonb[] default null, took_ms integer[] default null)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
begin
  if tasker._write_step_transitions(_audit_steps.step_ids, at, _audit_steps.attempts, _audit_steps.from_states,
    _audit_steps.to_state, _audit_steps.metadata, _audit_steps.took_ms) then
    return;
  end if;
  insert into tasker.step_transitions (step_id, created_at, attempt, from_state, to_state, actor, metadata, execution_time_ms)
  select i.step_id, at, i.attempt, i.from_state, _audit_steps.to_state, session_user, i.metadata, i.took_ms
  from unnest(_audit_steps.step_ids, _audit_steps.attempts, _audit_steps.from_states, _audit_steps.metadata, _audit_steps.took_ms)
    i(step_id, attempt, from_state, metadata, took_ms);
end $$;
