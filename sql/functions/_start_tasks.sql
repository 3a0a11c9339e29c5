-- Gives tasks their steps, and says which of these are ready, and which tasks have nothing to do (all steps bypassed).
-- The caller holds the tasks locked.
create or replace function tasker._start_tasks(task_ids bigint[], at timestamptz, out ready bigint[], out over bigint[])
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
begin
  with starting as materialized (
    select t.task_id, t.template_id, t.bypass_steps
    from tasker.tasks t
    where t.task_id = any(_start_tasks.task_ids) and t.state = 'pending'
  ), created as (
    insert into tasker.steps (step_id, task_id, template_step_id, max_attempts, state, remaining_parents, finished_at)
    select (t.task_id << 16) + 1 + ts.step_index, t.task_id, ts.template_step_id, ts.max_attempts,
      case when ts.name = any(t.bypass_steps) then 'skipped' else 'pending' end,
      ts.parent_count - case
        when t.bypass_steps = '{}' then 0
        else (
          select count(*)
          from tasker.template_dependencies d
          join tasker.template_steps p on p.template_id = d.template_id and p.step_index = d.parent_index
          where d.template_id = t.template_id and d.child_index = ts.step_index and p.name = any(t.bypass_steps))
      end,
      case when ts.name = any(t.bypass_steps) then at end
    from starting t
    join tasker.template_steps ts on ts.template_id = t.template_id
    order by t.task_id, ts.step_index
    returning step_id, task_id, state, remaining_parents
  ), skipped as (
    insert into tasker.step_transitions (step_id, created_at, attempt, from_state, to_state, actor, metadata)
    select c.step_id, at, 0, 'pending', 'skipped', session_user, '{"reason": "bypass_steps"}'
    from created c
    where c.state = 'skipped'
  ), started as (
    update tasker.tasks t
    set state = 'in_progress', started_at = at, active_steps = c.active
    from (
      select c.task_id, count(*) filter (where c.state = 'pending' and c.remaining_parents = 0) as active
      from created c
      group by c.task_id
    ) c
    where t.task_id = c.task_id
    returning t.task_id, t.template_id, t.active_steps
  ), audited as (
    insert into tasker.task_transitions (task_id, created_at, from_state, to_state, actor)
    select s.task_id, at, 'pending', 'in_progress', session_user
    from started s
  ), timed as (
    insert into tasker.timers (fire_at, kind, task_id)
    select at + i.after, i.kind, s.task_id
    from started s
    join tasker.task_templates tt on tt.template_id = s.template_id
    cross join lateral (values
      ('deadline', tt.max_duration),
      ('stuck', least(tt.max_waiting_for_dependencies, tt.max_waiting_for_retry, tt.max_steps_in_process))) i(kind, after)
    where i.after is not null
  )
  select (select array_agg(c.step_id) from created c where c.state = 'pending' and c.remaining_parents = 0),
    (select array_agg(s.task_id) from started s where s.active_steps = 0)
  into _start_tasks.ready, _start_tasks.over;
end $$;
