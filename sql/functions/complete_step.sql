create or replace function tasker.complete_step(
  step_id bigint,
  attempt integer,
  results jsonb default null,
  orchestration_metadata jsonb default null,
  execution_time_ms bigint default null)
returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
begin
  if not tasker._complete_at_once(complete_step.step_id, complete_step.attempt, complete_step.results,
    complete_step.orchestration_metadata, complete_step.execution_time_ms)
  then
    perform tasker._report_attempt(complete_step.step_id, complete_step.attempt, 'success', complete_step.results,
      null, complete_step.orchestration_metadata, complete_step.execution_time_ms);
  end if;
end $$;
comment on function tasker.complete_step is
  'Reports an attempt as done, in the caller''s transaction: business writes and completion commit together. Fenced: raises TK001 when the attempt is over or superseded, TK002 when it was cancelled, so that the transaction rolls back. Of two holders of one attempt one commits. Raises 42704 for an unknown step.';
