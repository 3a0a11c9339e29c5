create or replace function tasker.complete_step(
  step_id bigint,
  attempt integer,
  results jsonb default null,
  orchestration_metadata jsonb default null,
  execution_time_ms bigint default null)
returns void
language c security definer
set search_path = pg_catalog, pg_temp
as 'MODULE_PATHNAME', 'tasker_complete_step';
comment on function tasker.complete_step is
  'Reports an attempt as done, in the caller''s transaction: business writes and completion commit together. Fenced: raises TK001 when the attempt is over or superseded, TK002 when it was cancelled, so that the transaction rolls back. Of two holders of one attempt one commits. Raises 42704 for an unknown step.';
