-- How many steps may be enqueued into a namespace now: 0 when it is paused or set aside, NULL when another transaction
-- is enqueueing or holds the whole queue; and how many of each template that has a limit of its own
-- (limits.max_in_flight). Where anything is limited the caller keeps the lock until it commits, so that the sums below,
-- read in a statement of its own and hence after that lock, have seen every increment; decrements that are still open
-- make them err low, never over.
--
-- The places that a caller has `freed` itself, in this transaction, it may fill again without a lock: the number in flight
-- does not rise by that. So it takes the lock only where it could use more (`wanted`) and there is more, and makes do with
-- its own (more_later) when somebody else has the lock. Not so where the limit was lowered below what is in flight. Nearly always
-- _enqueue_at_once (src/process/enqueue.rs) has done it by the same rule before anybody asks here.
create or replace function tasker._capacity(
  namespace tasker.namespaces, at timestamptz, freed bigint, wanted bigint, in_a_call boolean,
  out room bigint, out templates bigint[], out rooms bigint[], out more_later boolean)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  capped    boolean;
  in_flight bigint;
  own       bigint;
  pieces    integer;
begin
  if namespace.paused or namespace.fault_until > at then
    room := 0;
    return;
  end if;
  if tasker._queue_is_held(namespace.name || '_queue') then
    return;
  end if;
  -- A pass fails on a queue that is gone, and sets the namespace aside. A worker's own call must not: its results count.
  if in_a_call and not tasker._queue_exists(namespace.name || '_queue') then
    more_later := true;
    return;
  end if;
  capped := exists (
    select from tasker.task_templates tt
    where tt.namespace_id = namespace.namespace_id and tt.max_in_flight is not null);
  if namespace.max_in_flight is not null and not capped and freed > 0 then
    select coalesce(sum(d.delta), 0), count(*) into in_flight, pieces
    from tasker.in_flight_deltas d
    where d.namespace_id = namespace.namespace_id;
    own := least(freed, namespace.max_in_flight - in_flight);
    -- Many pieces are folded below.
    if own = freed and pieces <= 64 and (wanted <= freed or namespace.max_in_flight - in_flight = freed) then
      room := freed;
      return;
    end if;
  end if;
  if (capped or namespace.max_in_flight is not null)
    and not pg_try_advisory_xact_lock(tasker._lock_key('namespace', namespace.namespace_id::text)) then
    more_later := true;
    room := case when own > 0 then own end;
    return;
  end if;

  select coalesce(sum(d.delta), 0), count(*) into in_flight, pieces
  from tasker.in_flight_deltas d
  where d.namespace_id = namespace.namespace_id;
  room := case when namespace.max_in_flight is null then 2147483647 else greatest(namespace.max_in_flight - in_flight, 0) end;
  if capped then
    select array_agg(c.template_id), array_agg(greatest(c.max_in_flight - c.in_flight, 0)) into templates, rooms
    from (
      select tt.template_id, tt.max_in_flight, coalesce(sum(d.delta), 0) as in_flight
      from tasker.task_templates tt
      left join tasker.in_flight_deltas d on d.namespace_id = tt.namespace_id and d.template_id = tt.template_id
      where tt.namespace_id = namespace.namespace_id and tt.max_in_flight is not null
      group by tt.template_id
    ) c;
  end if;
  -- 64 rows cost about as much to read as the index probe that finds them.
  if pieces > 64 then
    perform tasker._fold_deltas(namespace.namespace_id);
  end if;
end $$;
