-- Makes tasks of requests that nothing is in the way of, in the caller's transaction, and returns their ids in order.
-- A request whose key, or whose context under identity strategy strict, has its task already gets that task's id.
create or replace function tasker._create_tasks(requests tasker._task_request[], at timestamptz)
returns bigint[]
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  keys     bigint[];
  task_ids bigint[];
  new_ids  bigint[];  -- NULL where no task is made
  made     record;
  written  boolean;
begin
  -- Sorted, so that two callers with the same keys cannot deadlock. Held until the caller commits.
  select array_agg(distinct k.key) filter (where k.key is not null) into keys
  from (select tasker._request_lock(r) as key from unnest(requests) r) k;
  if keys is null then
    new_ids := array(select nextval('tasker.tasks_task_id_seq') from generate_series(1, cardinality(requests)));
    task_ids := new_ids;
  else
    perform pg_advisory_xact_lock(k.key) from unnest(keys) k(key);
    select i.task_ids, i.new_ids into task_ids, new_ids from tasker._identify(requests) i;
    if current_setting('transaction_isolation') not in ('read committed', 'read uncommitted') then
      perform tasker._need_no_other_request(tasker._context_hash(r.template_id, r.context))
      from unnest(requests) with ordinality r
      where new_ids[r.ordinality] is not null and r.idempotency_key is null and r.identity_strategy = 'strict';
    end if;
  end if;

  with request as materialized (
    select new_ids[r.ordinality] as task_id, r.*
    from unnest(requests) with ordinality r
    where new_ids[r.ordinality] is not null
  ), task as (
    insert into tasker.tasks (task_id, template_id, namespace_id, created_at, run_at, correlation_id,
      parent_correlation_id, claim_timeout_seconds, priority, context, identity_key, context_hash, initiator,
      source_system, reason, tags, bypass_steps)
    overriding system value
    select r.task_id, r.template_id, r.namespace_id, at, r.run_at,
      coalesce(r.correlation_id, r.parent_correlation_id, tasker._uuid7()), r.parent_correlation_id,
      r.claim_timeout_seconds, r.priority, r.context, r.template_name || '/' || r.idempotency_key,
      case when r.idempotency_key is null and r.identity_strategy = 'strict'
        then tasker._context_hash(r.template_id, r.context) end,
      r.initiator, r.source_system,
      r.reason, coalesce(r.tags, '{}'), coalesce(r.bypass_steps, '{}')
    from request r
  ), delayed as (
    insert into tasker.timers (fire_at, kind, task_id)
    select r.run_at, 'start', r.task_id
    from request r
    where r.run_at > at
  )
  select array_agg(r.task_id) as task_ids,
    array_agg(case when r.request_id is not null then jsonb_build_object('request_id', r.request_id) end) as metadata,
    array_agg(r.task_id) filter (where r.waits) as waiting, array_agg(r.namespace_id) filter (where r.waits) as namespace_ids,
    array_agg(r.template_id) filter (where r.waits) as template_ids, array_agg(r.priority) filter (where r.waits) as priorities
  into made
  from (select r.*, (r.run_at > at) is not true as waits from request r) r;
  if made.waiting is not null then
    written := tasker._write_waiting(made.namespace_ids, made.template_ids, made.waiting, null,
      array_fill(at, array[cardinality(made.waiting)]), made.priorities);
  end if;
  if made.task_ids is not null then
    written := tasker._write_task_transitions(made.task_ids, at, null, array_fill('pending'::text, array[cardinality(made.task_ids)]),
      made.metadata);
  end if;
  perform tasker._wake();
  return task_ids;
end $$;
