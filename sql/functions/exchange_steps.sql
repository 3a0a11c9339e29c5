create or replace function tasker.exchange_steps(
  namespace text,
  results jsonb[] default null,
  qty integer default 1,
  lease interval default null,
  max_wait interval default '0',
  worker_id text default null)
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
  id      bigint;
  settled bigint[];
begin
  settled := tasker._deliver(exchange_steps.results, true);
  if cardinality(exchange_steps.results) > 0 then
    if cardinality(settled) < cardinality(exchange_steps.results) then
      perform from tasker._queue_results(exchange_steps.results, settled);
    end if;
    -- Assigned, as PERFORM would be a statement: 30,000 instructions more.
    id := coalesce(
      tasker._may_poll(exchange_steps.namespace, exchange_steps.qty, exchange_steps.lease, exchange_steps.worker_id),
      tasker._check_poll(exchange_steps.namespace, exchange_steps.qty, exchange_steps.lease, exchange_steps.worker_id));
    -- Where the queue is gone, what was delivered counts all the same; the next call, with nothing to deliver, says so.
    if not tasker._queue_exists(exchange_steps.namespace || '_queue') then
      return;
    end if;
    -- What was delivered is committed with this call: it must not wait.
    return query
    select t.msg_id, t.step_id, t.task_id, t.attempt, t.message
    from tasker._take_steps(exchange_steps.namespace, exchange_steps.qty,
      extract(epoch from exchange_steps.lease)::double precision, exchange_steps.worker_id, tasker.clock(), null, null) t;
  else
    return query
    select p.msg_id, p.step_id, p.task_id, p.attempt, p.message
    from tasker.poll_steps(exchange_steps.namespace, exchange_steps.qty, exchange_steps.lease, exchange_steps.max_wait,
      exchange_steps.worker_id) p;
  end if;
end $$;
comment on function tasker.exchange_steps is
  'Delivers results, advances their tasks and receives the next steps in one call and one commit: complete_steps(results, advance => true), then poll_steps(). Waits up to max_wait only when there is nothing to deliver. Late and cancelled results are left out without a word. Errors as those two.';
