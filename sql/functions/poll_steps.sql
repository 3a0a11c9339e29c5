create or replace function tasker.poll_steps(
  namespace text,
  qty integer default 1,
  lease interval default null,
  max_wait interval default '0',
  worker_id text default null,
  task_names text[] default null,
  step_names text[] default null)
returns table (msg_id bigint, step_id bigint, task_id bigint, attempt integer, message jsonb)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict error
declare
  id         constant bigint := coalesce(
    tasker._may_poll(poll_steps.namespace, poll_steps.qty, poll_steps.lease, poll_steps.worker_id),
    tasker._check_poll(poll_steps.namespace, poll_steps.qty, poll_steps.lease, poll_steps.worker_id));
  stop_at    constant timestamptz := clock_timestamp() + least(poll_steps.max_wait, interval '10 seconds');
  generation bigint;
  left_ms    integer;
begin
  loop
    -- Before looking, so that what is enqueued between the look and the wait ends the wait.
    generation := tasker._generation(id);
    return query
    select t.msg_id, t.step_id, t.task_id, t.attempt, t.message
    from tasker._take_steps(poll_steps.namespace, poll_steps.qty, extract(epoch from poll_steps.lease)::double precision,
      poll_steps.worker_id, tasker.clock(), poll_steps.task_names, poll_steps.step_names) t;
    left_ms := ceil(extract(epoch from stop_at - clock_timestamp()) * 1000);
    -- Above read committed the next look would see what this one saw.
    exit when found or left_ms is null or left_ms <= 0
      or current_setting('transaction_isolation') not in ('read committed', 'read uncommitted');
    -- What the queue's mark has passed by wakes nobody when it is there at last.
    perform tasker._wait_for_wake(id, generation, least(left_ms, tasker._sweep_due(poll_steps.namespace || '_queue',
      poll_steps.task_names, poll_steps.step_names)));
  end loop;
end $$;
comment on function tasker.poll_steps is
  'Takes up to qty steps off a namespace''s queue, marks them in_progress for worker_id and starts their leases (NULL = each step''s timeout). task_names, step_names: only those. Waits up to max_wait (at most 10 s) when there is none; a waiting call holds back vacuum, so call it outside of a transaction block. Returns msg_id, step_id, task_id, attempt and the step message. Rolled back, the steps are on the queue again. Raises 42704 for an unknown namespace.';
