-- The first `most` rows of one class of waiting work, counted, with its ends; see _waiting_heads().
create or replace function tasker._waiting_head(
  namespace_id bigint, template_id bigint, priority smallint, held boolean, most bigint, at timestamptz,
  out tasks bigint, out steps bigint, out set_aside bigint, out stale bigint, out computed_priority double precision,
  out oldest_since timestamptz, out oldest_task_since timestamptz, out newest_since timestamptz, out capped boolean)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
begin
  -- Two statements, so that each has its own index: no predicate of one covers both.
  if not _waiting_head.held then
    select
      count(*) filter (where r.step_id is null), count(*) filter (where r.step_id is not null), 0, 0,
      avg(tasker._computed_priority(_waiting_head.priority, r.since, at)),
      min(r.since), min(r.since) filter (where r.step_id is null), max(r.since), count(*) = most
    into _waiting_head.tasks, _waiting_head.steps, _waiting_head.set_aside, _waiting_head.stale,
      _waiting_head.computed_priority, _waiting_head.oldest_since, _waiting_head.oldest_task_since,
      _waiting_head.newest_since, _waiting_head.capped
    from (
      select w.since, w.step_id
      from tasker.waiting w
      where w.namespace_id = _waiting_head.namespace_id and w.template_id = _waiting_head.template_id
        and w.priority = _waiting_head.priority and w.claimed_by is null
      order by w.since, w.task_id, w.step_id
      limit most) r;
    if _waiting_head.capped then
      select w.since into _waiting_head.newest_since
      from tasker.waiting w
      where w.namespace_id = _waiting_head.namespace_id and w.template_id = _waiting_head.template_id
        and w.priority = _waiting_head.priority and w.claimed_by is null
      order by w.since desc, w.task_id desc, w.step_id desc
      limit 1;
    end if;
    return;
  end if;
  select
    count(*) filter (where r.step_id is null), count(*) filter (where r.step_id is not null),
    count(*) filter (where r.fault is not null), count(*) filter (where r.claim_expires_at <= at),
    avg(tasker._computed_priority(_waiting_head.priority, r.since, at)),
    min(r.since), min(r.since) filter (where r.step_id is null), max(r.since), count(*) = most
  into _waiting_head.tasks, _waiting_head.steps, _waiting_head.set_aside, _waiting_head.stale,
    _waiting_head.computed_priority, _waiting_head.oldest_since, _waiting_head.oldest_task_since,
    _waiting_head.newest_since, _waiting_head.capped
  from (
    select w.since, w.step_id, w.fault, w.claim_expires_at
    from tasker.waiting w
    where w.namespace_id = _waiting_head.namespace_id and w.template_id = _waiting_head.template_id
      and w.priority = _waiting_head.priority and w.claimed_by is not null
    order by w.since, w.task_id, w.step_id
    limit most) r;
  if _waiting_head.capped then
    select w.since into _waiting_head.newest_since
    from tasker.waiting w
    where w.namespace_id = _waiting_head.namespace_id and w.template_id = _waiting_head.template_id
      and w.priority = _waiting_head.priority and w.claimed_by is not null
    order by w.since desc, w.task_id desc, w.step_id desc
    limit 1;
  end if;
end $$;
