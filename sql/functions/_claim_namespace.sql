-- Fills one namespace's room: from the steps that became ready in this pass and from what waits, in order of computed
-- priority. What finds no room waits with the rest. only_task_id narrows the claim to one task (isolation by cause);
-- freed is how many attempts the caller has ended here in its own transaction, if it counts them; in_a_call: a worker's own
-- call does it, not a pass; waits: whether anything waits here, where the caller has looked.
create or replace function tasker._claim_namespace(
  pass tasker._pass, namespace_id bigint, ready bigint[], batch integer, at timestamptz, only_task_id bigint default null,
  freed bigint default 0, in_a_call boolean default false, waits boolean default null)
returns tasker._pass
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  namespace tasker.namespaces;
  capacity  record;
  wanted    bigint;
  skipped   bigint := 0;
  claimed   boolean := false;
  claim     record;
  chosen    bigint[] := '{}';
  starting  bigint[] := '{}';
  roots     record;
  fit       record;
begin
  ready := tasker._unclaimed(ready, at);
  select n.* into namespace from tasker.namespaces n where n.namespace_id = _claim_namespace.namespace_id;
  waits := coalesce(waits, tasker._anything_waits(namespace.namespace_id));
  capacity := tasker._capacity(namespace, at, freed, case when not waits then coalesce(cardinality(ready), 0) end,
    in_a_call);
  if capacity.room is null or capacity.more_later then
    pass.next_due_at := least(pass.next_due_at, at + interval '50 milliseconds');
    capacity.room := coalesce(capacity.room, 0);
  end if;
  if only_task_id is not null then
    -- Of one task alone never more than this, roots included.
    capacity.room := least(capacity.room, batch);
  end if;
  wanted := least(capacity.room, batch);
  if waits and capacity.templates is not null then
    waits := not tasker._is_full(namespace.namespace_id);
  end if;

  if wanted > 0 and waits then
    -- Tasks that somebody holds locked are stepped over: look that much further, until the room is filled.
    loop
      claim := tasker._claim_waiting(namespace.namespace_id, _claim_namespace.ready, wanted, skipped, capacity.templates,
        tasker._rooms_left(capacity.templates, capacity.rooms, chosen, starting), at, only_task_id);
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
    pass.more := pass.more or (wanted <= 0 and capacity.room > batch);
    claimed := true;
  elsif capacity.room > 0 then
    -- Nobody who has room waits here: what became ready goes at once, however much it is.
    chosen := coalesce(ready, '{}');
    ready := null;
  end if;

  if starting <> '{}' then
    roots := tasker._start_tasks(starting, at);
    pass.started := pass.started + cardinality(starting);
    pass.over := pass.over || roots.over;
    chosen := chosen || roots.ready;
    -- A task with nothing to enqueue, all of it bypassed, has taken a place that another can have at once.
    pass.more := pass.more or roots.over is not null;
  end if;
  -- What was claimed is in order and has room. A task that starts may bring many roots, though.
  if starting <> '{}' or cardinality(chosen) > capacity.room or not claimed and capacity.templates is not null then
    fit := tasker._fit(chosen, capacity.room, capacity.templates, capacity.rooms, at);
    chosen := fit.step_ids;
    ready := ready || fit.left_over;
  end if;
  if cardinality(chosen) > 0 then
    pass.enqueued := pass.enqueued + tasker._enqueue(namespace.namespace_id, namespace.name, chosen, at);
    if namespace.fault is not null and chosen <> '{}' then
      perform tasker._set_fault(namespace.namespace_id, null, null);
    end if;
  end if;
  if cardinality(ready) > 0 then
    perform tasker._park(ready, at);
  end if;
  return pass;
end $$;
