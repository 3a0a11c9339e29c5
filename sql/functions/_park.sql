-- Ready steps that find no room wait. They inherit the time since which their task waits, so started tasks finish
-- first; and the outside claim of their task, if there is one. The caller holds the tasks locked.
create or replace function tasker._park(step_ids bigint[], at timestamptz)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
begin
  update tasker.steps s
  set remaining_parents = 0
  where s.step_id = any(_park.step_ids) and s.remaining_parents > 0;

  insert into tasker.waiting (namespace_id, template_id, task_id, step_id, since, priority, claimed_by, claim_expires_at)
  select t.namespace_id, t.template_id, t.task_id, i.step_id, greatest(t.run_at, t.created_at), t.priority,
    c.claimed_by, c.expires_at
  from unnest(_park.step_ids) i(step_id)
  join tasker.tasks t on t.task_id = i.step_id >> 16
  join tasker.steps s on s.step_id = i.step_id
  left join tasker.claims c on c.task_id = t.task_id
  where s.state in ('pending', 'waiting_for_retry') and t.state = 'in_progress' and t.stopping is null
  order by i.step_id;
end $$;
