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
  existing bigint[];
  task_ids bigint[];
begin
  -- Sorted, so that two callers with the same keys cannot deadlock. Held until the caller commits.
  select array_agg(tasker._key_lock(r)) into keys
  from unnest(requests) r
  join tasker.task_templates tt on tt.template_id = r.template_id
  where r.idempotency_key is not null or tt.identity_strategy = 'strict';
  if keys is not null then
    perform pg_advisory_xact_lock(k.key)
    from (select distinct k.key from unnest(keys) k(key) order by k.key) k;
    existing := tasker._existing_tasks(requests);
  end if;

  with request as materialized (
    select r.n, tt.namespace_id, tt.template_id, r.context, r.priority, r.run_at, r.parent_correlation_id,
      coalesce(r.correlation_id, r.parent_correlation_id, tasker._uuid7()) as correlation_id,
      r.initiator, r.source_system, r.reason, r.tags, r.bypass_steps, r.claim_timeout_seconds, r.request_id,
      tt.name || '/' || r.idempotency_key as identity_key,
      case when tt.identity_strategy = 'strict' and r.idempotency_key is null then tasker._context_hash(r.request) end as context_hash,
      existing[r.n] as existing_id
    from (select r as request, r.*, row_number() over () as n from unnest(requests) r) r
    join tasker.task_templates tt on tt.template_id = r.template_id
  ), numbered as materialized (
    -- The same identity twice in one call is one task.
    select r.*, case when r.nth = 1 and r.existing_id is null then nextval('tasker.tasks_task_id_seq') end as task_id
    from (
      select r.*, row_number() over (
        partition by r.namespace_id, r.identity_key, r.context_hash,
          case when r.identity_key is null and r.context_hash is null then r.n end
        order by r.n) as nth
      from request r
      order by r.n
    ) r
  ), first as (
    select n.* from numbered n where n.nth = 1
  ), task as (
    insert into tasker.tasks (task_id, template_id, namespace_id, created_at, run_at, correlation_id,
      parent_correlation_id, claim_timeout_seconds, priority, context, identity_key, context_hash, initiator,
      source_system, reason, tags, bypass_steps)
    overriding system value
    select f.task_id, f.template_id, f.namespace_id, at, f.run_at, f.correlation_id, f.parent_correlation_id,
      f.claim_timeout_seconds, f.priority, f.context, f.identity_key, f.context_hash, f.initiator, f.source_system,
      f.reason, coalesce(f.tags, '{}'), coalesce(f.bypass_steps, '{}')
    from first f
    where f.existing_id is null
    order by f.task_id
  ), parked as (
    insert into tasker.waiting (namespace_id, template_id, task_id, since, priority)
    select f.namespace_id, f.template_id, f.task_id, greatest(f.run_at, at), f.priority
    from first f
    where f.existing_id is null and (f.run_at is null or f.run_at <= at)
    order by f.task_id
  ), delayed as (
    insert into tasker.timers (fire_at, kind, task_id)
    select f.run_at, 'start', f.task_id
    from first f
    where f.existing_id is null and f.run_at > at
    order by f.task_id
  ), audited as (
    insert into tasker.task_transitions (task_id, created_at, to_state, actor, metadata)
    select f.task_id, at, 'pending', session_user,
      case when f.request_id is not null then jsonb_build_object('request_id', f.request_id) end
    from first f
    where f.existing_id is null
    order by f.task_id
  )
  -- By a window, not by a join of requests with tasks, which was a loop: 12 s for 10,000 requests.
  select array_agg(k.task_id order by k.n) into task_ids
  from (
    select r.n, first_value(coalesce(r.existing_id, r.task_id)) over (
      partition by r.namespace_id, r.identity_key, r.context_hash,
        case when r.identity_key is null and r.context_hash is null then r.n end
      order by r.n) as task_id
    from numbered r
  ) k;
  perform tasker._wake();
  return task_ids;
end $$;
