-- exchange_steps where something is special about the results, the worker or its call; it knows what may be wrong. `tried`: it has
-- been seen that the call may advance, and that these results do not at once.
create or replace function tasker._exchange_with_care(namespace text, results jsonb[], qty integer, lease interval, max_wait interval,
  worker_id text, tried boolean)
returns table (msg_id bigint, step_id bigint, task_id bigint, attempt integer, message jsonb)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  settled constant bigint[] := tasker._deliver(_exchange_with_care.results, true, _exchange_with_care.tried);
  -- What was delivered is committed with this call: it must not wait.
  wait    constant interval := case when cardinality(_exchange_with_care.results) > 0 then '0' else _exchange_with_care.max_wait end;
begin
  if cardinality(settled) < cardinality(_exchange_with_care.results) then
    perform from tasker._queue_results(_exchange_with_care.results, settled);
  end if;
  perform tasker._check_poll(_exchange_with_care.namespace, _exchange_with_care.qty, _exchange_with_care.lease,
    _exchange_with_care.worker_id);
  -- Where the queue is gone, what was delivered counts all the same; the next call, with nothing to deliver, says so.
  if _exchange_with_care.results <> '{}' and not tasker._queue_exists(_exchange_with_care.namespace || '_queue') then
    return;
  end if;
  return query
  select p.msg_id, p.step_id, p.task_id, p.attempt, p.message
  from tasker.poll_steps(_exchange_with_care.namespace, _exchange_with_care.qty, _exchange_with_care.lease, wait,
    _exchange_with_care.worker_id) p;
end $$;
