-- The part of check() about the work that waits.
create or replace function tasker._check_waiting()
returns table (subject text, id bigint, expected text, found text)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
begin
  return query
  select 'pending task', t.task_id, 'a waiting row or a start timer'::text, 'none'::text
  from tasker.tasks t
  where t.state = 'pending'
    and not exists (select from tasker.waiting w where w.task_id = t.task_id and w.step_id is null)
    and not exists (select from tasker.timers i where i.kind = 'start' and i.task_id = t.task_id)
  order by t.task_id;

  return query
  select 'ready step', s.step_id, 'a waiting row'::text, 'none'::text
  from tasker.tasks t
  join tasker.steps s on s.task_id = t.task_id
  where t.state = 'in_progress' and t.stopping is null
    and s.state = 'pending' and s.remaining_parents = 0
    and not exists (select from tasker.waiting w where w.task_id = s.task_id and w.step_id = s.step_id)
  order by s.step_id;

  return query
  select
    case when w.step_id is null then 'waiting task' else 'waiting step' end,
    coalesce(w.step_id, w.task_id),
    case when w.step_id is null then 'a pending task' else 'a ready step of a task that goes on' end,
    coalesce(s.state, case when w.step_id is not null and t.task_id is not null then 'no such step' end, t.state, 'no such task')
  from tasker.waiting w
  left join tasker.tasks t on t.task_id = w.task_id
  left join tasker.steps s on s.step_id = w.step_id
  where case
    when w.step_id is null then t.state = 'pending'
    else t.state = 'in_progress' and t.stopping is null
      and s.state in ('pending', 'waiting_for_retry') and s.remaining_parents = 0
  end is not true
  order by 2;

  return query
  select 'waiting row of task', w.task_id,
    format('namespace %s, template %s, priority %s', t.namespace_id, t.template_id, t.priority),
    format('namespace %s, template %s, priority %s', w.namespace_id, w.template_id, w.priority)
  from tasker.waiting w
  join tasker.tasks t on t.task_id = w.task_id
  where (w.namespace_id, w.template_id, w.priority) <> (t.namespace_id, t.template_id, t.priority)
  order by w.task_id, w.step_id;

  return query
  select 'claimed work of task', w.task_id, 'a claim timer'::text, 'none'::text
  from tasker.waiting w
  where w.claimed_by is not null
    and not exists (select from tasker.timers i where i.kind = 'claim' and i.task_id = w.task_id)
  order by w.task_id, w.step_id;

  return query
  select 'claim of task', c.task_id, 'a task that is not over'::text, coalesce(t.state, 'no such task')
  from tasker.claims c
  left join tasker.tasks t on t.task_id = c.task_id
  where t.finished_at is not null or t.task_id is null
  order by c.task_id;
end $$;
