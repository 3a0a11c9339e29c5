-- Phase 1: task requests from the queue become tasks.
--
-- A message is judged by predicates, so that a bad one costs a row in rejected_messages and not the pass. One whose
-- idempotency key is being used by an open transaction, or whose namespace somebody is dropping, is looked at again 50 ms later.
create or replace function tasker._accept(pass tasker._pass, batch integer, at timestamptz, only_msg_id bigint default null)
returns tasker._pass
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  look     record;
  bad_ids  bigint[];
  reasons  text[];
  good_ids bigint[];
  keys     bigint[];
  requests tasker._task_request[];
  busy_ids bigint[];
  dropped  bigint[];
begin
  look := tasker._look('orchestration_task_requests', batch, only_msg_id => only_msg_id);
  if look.msg_ids is null then
    return pass;
  end if;
  pass.more := pass.more or cardinality(look.msg_ids) = batch or look.again;

  with judged as materialized (
    select k.msg_id, k.message, tasker._request_fault(k.message) as fault
    from unnest(look.msg_ids, look.messages) k(msg_id, message)
  ), request as materialized (
    select j.msg_id, j.fault, r.*
    from judged j
    -- The function is called before the join's condition is looked at: it must not see what it cannot read.
    left join lateral tasker._read_request(case when j.fault is null then j.message end) r on j.fault is null
  ), checked as (
    select r.msg_id, coalesce(r.fault, tasker._request_obstacle(r.namespace, r.name, r.version, r.request)) as fault,
      r.request, tasker._request_lock(r.request) as key
    from request r
  )
  select array_agg(c.msg_id) filter (where c.fault is not null),
    array_agg(c.fault) filter (where c.fault is not null),
    array_agg(c.msg_id order by c.msg_id) filter (where c.fault is null),
    array_agg(c.key order by c.msg_id) filter (where c.fault is null),
    array_agg(c.request order by c.msg_id) filter (where c.fault is null)
  into bad_ids, reasons, good_ids, keys, requests
  from checked c;

  if bad_ids is not null then
    pass.rejected := pass.rejected + tasker._reject('orchestration_task_requests', bad_ids, reasons, at);
  end if;

  if good_ids is not null then
    dropped := coalesce(tasker._being_dropped(requests), '{}');
  end if;

  -- `try`, never wait: somebody's open transaction may hold the key. Sorted, as everywhere.
  with lock as materialized (
    select k.key, pg_try_advisory_xact_lock(k.key) as got
    from (select distinct k.key from unnest(keys) k(key) where k.key is not null order by k.key) k
  )
  select array_agg(g.msg_id) filter (where g.busy), array_agg(g.msg_id order by g.n) filter (where not g.busy),
    array_agg(g.request order by g.n) filter (where not g.busy)
  into busy_ids, good_ids, requests
  from (
    select k.msg_id, k.n, r.request, l.got is false or r.template_id = any(dropped) as busy
    from unnest(good_ids, keys) with ordinality k(msg_id, key, n)
    join (select r as request, r.template_id, row_number() over () as n from unnest(requests) r) r on r.n = k.n
    left join lock l on l.key = k.key
  ) g;

  if busy_ids is not null then
    pass := tasker._defer(pass, 'orchestration_task_requests', busy_ids, at);
  end if;
  if good_ids is not null then
    perform tasker._create_tasks(requests, at);
    delete from pgmq.q_orchestration_task_requests q where q.msg_id = any(good_ids);
    pass.accepted := pass.accepted + cardinality(good_ids);
  end if;
  return pass;
end $$;
