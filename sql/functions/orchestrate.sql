create or replace function tasker.orchestrate(batch_size integer default null)
returns table (
  accepted integer, settled integer, late integer, rejected integer, fired integer, started integer, enqueued integer,
  finished integer, more boolean, next_due_at timestamptz)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
begin
  return query
  select p.accepted, p.settled, p.late, p.rejected, p.fired, p.started, p.enqueued, p.finished, p.more, p.next_due_at
  from tasker._orchestrate(orchestrate.batch_size, tried => false) p;
end $$;
comment on function tasker.orchestrate is
  'One pass of the orchestrator, in the caller''s transaction: accepts requests, settles results, fires timers, enqueues ready steps, finishes tasks; up to batch_size messages of each queue (default tasker.batch_size). Returns one row: what it did, more = call again at once, next_due_at = when at the latest (NULL = nothing is due). Works also when tasker.enabled is off. Never waits for anybody''s row. Raises 25000 above isolation level read committed.';
