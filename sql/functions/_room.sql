-- How many steps may be enqueued into a namespace now: 0 when it is paused or set aside, NULL when another transaction
-- is enqueueing. In a limited namespace the caller keeps the lock until it commits, so that the sum below, read in a
-- statement of its own and hence after that lock, has seen every increment; decrements that are still open make it err
-- low, never over.
create or replace function tasker._room(namespace tasker.namespaces, at timestamptz)
returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  in_flight bigint;
  pieces    integer;
begin
  if namespace.paused or namespace.fault_until > at then
    return 0;
  end if;
  if namespace.max_in_flight is not null
    and not pg_try_advisory_xact_lock(tasker._lock_key('namespace', namespace.namespace_id::text)) then
    return null;
  end if;

  select coalesce(sum(d.delta), 0), count(*) into in_flight, pieces
  from tasker.in_flight_deltas d
  where d.namespace_id = namespace.namespace_id;

  -- Fold, whoever has pieces locked. 64 rows cost about as much to read as the index probe that finds them.
  if pieces > 64 then
    with folded as (
      delete from tasker.in_flight_deltas d
      where d.ctid in (
        select f.ctid
        from tasker.in_flight_deltas f
        where f.namespace_id = namespace.namespace_id
        for update skip locked)
      returning d.template_id, d.delta
    )
    insert into tasker.in_flight_deltas (namespace_id, template_id, delta)
    select namespace.namespace_id, f.template_id, sum(f.delta)
    from folded f
    group by f.template_id
    having sum(f.delta) <> 0;
  end if;
  return case when namespace.max_in_flight is null then 2147483647 else greatest(namespace.max_in_flight - in_flight, 0) end;
end $$;
