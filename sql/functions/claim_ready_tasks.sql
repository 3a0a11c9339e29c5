create or replace function tasker.claim_ready_tasks(
  orchestrator_id text, max_tasks integer default 1, namespace_filter text default null)
returns table (
  task_id bigint, namespace text, name text, priority smallint, computed_priority double precision, ready_steps integer,
  claim_timeout_seconds integer)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  at       constant timestamptz := tasker.clock();
  task_ids bigint[];
  held     bigint[];
  skipped  integer := 0;
begin
  if coalesce(claim_ready_tasks.orchestrator_id, '') = '' or claim_ready_tasks.orchestrator_id = 'set aside' then
    raise exception using errcode = 'invalid_parameter_value', message = 'orchestrator_id must name who claims';
  end if;
  perform tasker._check_length('orchestrator_id', claim_ready_tasks.orchestrator_id, 256);
  if claim_ready_tasks.max_tasks is null or claim_ready_tasks.max_tasks < 1 then
    raise exception using errcode = 'invalid_parameter_value', message = 'max_tasks must be at least 1',
      detail = format('It is %s.', coalesce(claim_ready_tasks.max_tasks::text, 'NULL'));
  end if;
  perform tasker._need_read_committed('claim_ready_tasks');
  if claim_ready_tasks.namespace_filter is not null then
    perform tasker._namespace_id(claim_ready_tasks.namespace_filter);
  end if;

  -- Where no pass runs, nobody else gives back what a dead orchestrator held.
  perform tasker._expire_claims(array(select c.task_id from tasker.claims c where c.expires_at <= at), at);

  -- Tasks that somebody holds locked are stepped over, as everywhere.
  loop
    task_ids := tasker._first_waiting_tasks(claim_ready_tasks.namespace_filter, claim_ready_tasks.max_tasks + skipped, at);
    select array_agg(t.task_id) into held
    from (
      select t.task_id
      from tasker.tasks t
      where t.task_id = any(task_ids) and t.state in ('pending', 'in_progress') and t.stopping is null
      order by t.task_id
      for no key update skip locked
    ) t;
    -- Locked now, and looked at again in a new statement: others may have claimed or enqueued them meanwhile.
    held := array(
      select h
      from unnest(held) h
      where exists (select from tasker.waiting w where w.task_id = h and w.claimed_by is null)
        and not exists (select from tasker.claims c where c.task_id = h));
    exit when coalesce(cardinality(held), 0) >= claim_ready_tasks.max_tasks
      or coalesce(cardinality(task_ids), 0) < claim_ready_tasks.max_tasks + skipped;
    skipped := 2 * skipped + claim_ready_tasks.max_tasks;
  end loop;
  held := array(
    select i.task_id
    from unnest(task_ids) with ordinality i(task_id, n)
    where i.task_id = any(held)
    order by i.n
    limit claim_ready_tasks.max_tasks);

  return query
  with claimed as (
    insert into tasker.claims (task_id, claimed_by, claimed_at, expires_at)
    select t.task_id, claim_ready_tasks.orchestrator_id, at, at + make_interval(secs => t.claim_timeout_seconds)
    from tasker.tasks t
    where t.task_id = any(held)
    on conflict on constraint claims_pkey do nothing
    returning claims.task_id, claims.expires_at
  ), marked as (
    update tasker.waiting w
    set claimed_by = claim_ready_tasks.orchestrator_id, claim_expires_at = c.expires_at
    from claimed c
    where w.task_id = c.task_id and w.claimed_by is null
    returning w.task_id, w.step_id, w.since
  ), timed as (
    insert into tasker.timers (fire_at, kind, task_id)
    select c.expires_at, 'claim', c.task_id
    from claimed c
  )
  select t.task_id, n.name, tt.name, t.priority, tasker._computed_priority(t.priority, m.since, at), m.steps,
    t.claim_timeout_seconds
  from (select m.task_id, min(m.since) as since, count(m.step_id)::integer as steps from marked m group by m.task_id) m
  join tasker.tasks t on t.task_id = m.task_id
  join tasker.task_templates tt on tt.template_id = t.template_id
  join tasker.namespaces n on n.namespace_id = t.namespace_id
  order by 5 desc, m.since, t.task_id;
end $$;
comment on function tasker.claim_ready_tasks is
  'For an orchestrator outside: claims up to max_tasks tasks with waiting work, not started ones included, in order of computed priority, and returns them. Until the claim is released or its claim_timeout_seconds (60 unless the request says otherwise) are over, the background orchestrator enqueues nothing of them: call enqueue_ready_steps(task_id). ready_steps: steps that wait (0 = the task has not started). Raises 42704 for an unknown namespace, 22023 for less than one task, 25000 above isolation level read committed.';
