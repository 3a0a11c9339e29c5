-- Ready steps that find no room wait. They inherit the time since which their task waits, so started tasks finish
-- first; and the outside claim of their task, if there is one. The caller holds the tasks locked.
create or replace function tasker._park(step_ids bigint[], at timestamptz)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  parked  record;
  written boolean;
begin
  select array_agg(t.namespace_id) as namespace_ids, array_agg(t.template_id) as template_ids,
    array_agg(t.task_id) as task_ids, array_agg(s.step_id) as step_ids,
    array_agg(greatest(t.run_at, t.created_at)) as since, array_agg(t.priority) as priorities,
    array_agg(c.claimed_by) as claimed_by, array_agg(c.expires_at) as claim_expires_at,
    array_agg(s.step_id) filter (where s.remaining_parents > 0) as missed
  into parked
  from (select unnest(_park.step_ids) as step_id order by 1) i
  join tasker.tasks t on t.task_id = i.step_id >> 16
  join tasker.steps s on s.step_id = i.step_id
  left join tasker.claims c on c.task_id = t.task_id
  where s.state in ('pending', 'waiting_for_retry') and t.state = 'in_progress' and t.stopping is null;
  if parked.step_ids is null then
    return;
  end if;
  if parked.missed is not null then
    written := tasker._write_remaining_parents(parked.missed, array_fill(0, array[cardinality(parked.missed)]));
  end if;
  written := tasker._write_waiting(parked.namespace_ids, parked.template_ids, parked.task_ids, parked.step_ids, parked.since,
    parked.priorities, parked.claimed_by, parked.claim_expires_at);
end $$;
