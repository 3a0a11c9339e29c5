-- Gives tasks their steps, and says which of these are ready, and which tasks have nothing to do (all steps bypassed).
-- The caller holds the tasks locked.
create or replace function tasker._start_tasks(task_ids bigint[], at timestamptz, out ready bigint[], out over bigint[])
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  -- A template may have 65,535 steps, and the lists below hold all steps of so many tasks.
  at_a_time constant integer := 100;
  begun     bigint[];
  created   record;
  written   boolean;
begin
  for n in 1 .. cardinality(_start_tasks.task_ids) by at_a_time loop
    select array_agg(c.step_id) as step_ids, array_agg(c.template_step_id) as template_step_ids,
      array_agg(c.max_attempts) as max_attempts, array_agg(c.state) as states, array_agg(c.remaining_parents) as remaining_parents,
      array_agg(case when c.state = 'skipped' then at end) as finished_at,
      array_agg(c.step_id) filter (where c.state = 'pending' and c.remaining_parents = 0) as ready,
      array_agg(c.step_id) filter (where c.state = 'skipped') as skipped,
      array_agg(c.task_id) filter (where c.step_index = 0) as task_ids
    into created
    from (
      select t.task_id, ts.step_index, (t.task_id << 16) + 1 + ts.step_index as step_id, ts.template_step_id, ts.max_attempts,
        case when ts.name = any(t.bypass_steps) then 'skipped' else 'pending' end as state,
        ts.parent_count - case
          when t.bypass_steps = '{}' then 0
          else (
            select count(*)::integer
            from tasker.template_dependencies d
            join tasker.template_steps p on p.template_id = d.template_id and p.step_index = d.parent_index
            where d.template_id = t.template_id and d.child_index = ts.step_index and p.name = any(t.bypass_steps))
        end as remaining_parents
      from tasker.tasks t
      join tasker.template_steps ts on ts.template_id = t.template_id
      where t.task_id = any(_start_tasks.task_ids[n : n + at_a_time - 1]) and t.state = 'pending'
      order by t.task_id, ts.step_index
    ) c;
    continue when created.step_ids is null;

    written := tasker._write_steps(created.step_ids, created.template_step_ids, created.max_attempts, created.states,
      created.remaining_parents, created.finished_at);
    if created.skipped is not null then
      insert into tasker.step_transitions (step_id, created_at, attempt, from_state, to_state, actor, metadata)
      select s, at, 0, 'pending', 'skipped', session_user, '{"reason": "bypass_steps"}'
      from unnest(created.skipped) s;
    end if;
    begun := begun || created.task_ids;
    _start_tasks.ready := _start_tasks.ready || created.ready;
  end loop;

  with started as (
    update tasker.tasks t
    set state = 'in_progress', started_at = at, active_steps = a.active
    -- Not a join of tasks with counts: that would be a loop in a loop.
    from (
      select i.task_id, sum(i.active) as active
      from (
        select id, 0 from unnest(begun) id
        union all
        select step_id >> 16, 1 from unnest(_start_tasks.ready) step_id
      ) i(task_id, active)
      group by i.task_id
    ) a
    where t.task_id = a.task_id
    returning t.task_id, t.template_id, t.active_steps
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
  select array_agg(s.task_id) filter (where s.active_steps = 0) into _start_tasks.over
  from started s;
  if begun is not null then
    written := tasker._write_task_transitions(begun, at, array_fill('pending'::text, array[cardinality(begun)]),
      array_fill('in_progress'::text, array[cardinality(begun)]));
  end if;
end $$;
