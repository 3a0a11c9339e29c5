-- Fills one namespace's room: from the steps that became ready in this pass and from what waits, in order of computed
-- priority. What finds no room waits with the rest. only_task_id narrows the claim to one task (isolation by cause).
create or replace function tasker._claim_namespace(
  pass tasker._pass, namespace_id bigint, ready bigint[], batch integer, at timestamptz, only_task_id bigint default null)
returns tasker._pass
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  namespace tasker.namespaces;
  room      bigint;
  wanted    bigint;
  skipped   bigint := 0;
  claimed   boolean := false;
  fitting   integer;
  claim     record;
  chosen    bigint[] := '{}';
  starting  bigint[] := '{}';
  roots     record;
begin
  select n.* into namespace from tasker.namespaces n where n.namespace_id = _claim_namespace.namespace_id;
  room := tasker._room(namespace, at);
  if room is null then
    pass.next_due_at := least(pass.next_due_at, at + interval '50 milliseconds');
    room := 0;
  end if;
  wanted := least(room, batch);

  if wanted > 0 and exists (
    select from tasker.waiting w where w.namespace_id = _claim_namespace.namespace_id and w.claimed_by is null
  ) then
    -- Tasks that somebody holds locked are stepped over: look that much further, until the room is filled.
    loop
      select * into claim
      from tasker._claim_waiting(namespace.namespace_id, _claim_namespace.ready, wanted, skipped, at, only_task_id);
      chosen := chosen || claim.step_ids;
      starting := starting || claim.task_ids;
      ready := claim.passed_over;
      wanted := wanted - coalesce(cardinality(claim.step_ids), 0) - coalesce(cardinality(claim.task_ids), 0);
      exit when claim.missed = 0 or claim.exhausted or wanted <= 0;
      skipped := skipped + claim.missed + skipped;
    end loop;
    if claim.missed > 0 then
      pass.next_due_at := least(pass.next_due_at, at + interval '50 milliseconds');
    end if;
    pass.more := pass.more or (wanted <= 0 and room > batch);
    claimed := true;
  elsif room > 0 then
    -- Nobody waits here: what became ready goes at once, however much it is.
    chosen := coalesce(ready, '{}');
    ready := null;
  end if;

  if starting <> '{}' then
    select * into roots from tasker._start_tasks(starting, at);
    pass.started := pass.started + cardinality(starting);
    pass.over := pass.over || roots.over;
    chosen := chosen || roots.ready;
  end if;
  if chosen <> '{}' then
    if claimed or cardinality(chosen) > room then
      chosen := tasker._in_order(chosen, at);
      fitting := least(room, cardinality(chosen));
      ready := ready || chosen[fitting + 1:];
      chosen := chosen[1:fitting];
    end if;
    pass.enqueued := pass.enqueued + tasker._enqueue(namespace, chosen, at);
    if namespace.fault is not null and chosen <> '{}' then
      perform tasker._set_fault(namespace.namespace_id, null, null);
    end if;
  end if;
  if cardinality(ready) > 0 then
    perform tasker._park(ready, at);
  end if;
  return pass;
end $$;
