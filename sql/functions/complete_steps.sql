create or replace function tasker.complete_steps(results jsonb[], advance boolean default false)
returns table (item integer, step_id bigint, attempt integer, outcome text)
language c security definer
set search_path = pg_catalog, pg_temp
as 'MODULE_PATHNAME', 'tasker_complete_steps';
comment on function tasker.complete_steps is
  'Reports many attempts, successes and failures alike, in the caller''s transaction. Each result: {"step_id", "attempt", "status": "success" | "failure", "result_data", "error", "orchestration_metadata"}. At most 10,000. Returns an outcome per item, in order: settled (with advance: settled in this call, and what became ready enqueued), queued (reported; the orchestrator settles it), late (over, superseded, unknown or a duplicate), cancelled. Late and cancelled ones raise no error here. With advance the call waits for tasks that another call or a pass has locked, 50 ms or as long as lock_timeout says where that is set; what stays locked is queued, and with it what is of later tasks. It must be the first to write in its transaction (25001), which should end with it and be read committed (25000). Raises 22023 when a result is not well-formed; then none is taken.';
