create or replace function tasker.poll_steps(
  namespace text,
  qty integer default 1,
  lease interval default null,
  max_wait interval default '0',
  worker_id text default null,
  task_names text[] default null,
  step_names text[] default null)
returns table (msg_id bigint, step_id bigint, task_id bigint, attempt integer, message jsonb)
language c security definer
set search_path = pg_catalog, pg_temp
as 'MODULE_PATHNAME', 'tasker_poll_steps';
comment on function tasker.poll_steps is
  'Takes up to qty steps off a namespace''s queue, marks them in_progress for worker_id and starts their leases (NULL = each step''s timeout). task_names, step_names: only those. Waits up to max_wait (at most 10 s) when there is none; a waiting call holds back vacuum, so call it outside of a transaction block. Returns msg_id, step_id, task_id, attempt and the step message. Rolled back, the steps are on the queue again. Raises 42704 for an unknown namespace.';
