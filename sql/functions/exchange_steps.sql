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
as $$
#variable_conflict error
declare
  delivered integer;
begin
  select count(*) into delivered from tasker.complete_steps(exchange_steps.results, advance => true);
  -- Where the queue is gone, what was delivered counts all the same; the next call, with nothing to deliver, says so.
  if delivered > 0 and not tasker._queue_exists(exchange_steps.namespace || '_queue')
    and exists (select from tasker.namespaces n where n.name = exchange_steps.namespace) then
    return;
  end if;
  -- What was delivered is committed with this call: it must not wait then.
  return query
  select p.msg_id, p.step_id, p.task_id, p.attempt, p.message
  from tasker.poll_steps(exchange_steps.namespace, exchange_steps.qty, exchange_steps.lease,
    case when delivered > 0 then interval '0' else exchange_steps.max_wait end, exchange_steps.worker_id) p;
end $$;
comment on function tasker.exchange_steps is
  'Delivers results, advances their tasks and receives the next steps in one call and one commit: complete_steps(results, advance => true), then poll_steps(). Waits up to max_wait only when there is nothing to deliver. Late and cancelled results are left out without a word. Errors as those two.';
