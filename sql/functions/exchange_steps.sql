create or replace function tasker.exchange_steps(
  namespace text,
  results jsonb[] default null,
  qty integer default 1,
  lease interval default null,
  max_wait interval default '0',
  worker_id text default null)
returns table (msg_id bigint, step_id bigint, task_id bigint, attempt integer, message jsonb)
language c security definer
set search_path = pg_catalog, pg_temp
as 'MODULE_PATHNAME', 'tasker_exchange_steps';
comment on function tasker.exchange_steps is
  'Delivers results, advances their tasks and receives the next steps in one call and one commit: complete_steps(results, advance => true), then poll_steps(). Waits up to max_wait only when there is nothing to deliver. Late and cancelled results are left out without a word. Errors as those two.';
