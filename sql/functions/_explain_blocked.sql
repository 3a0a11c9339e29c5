-- The part of explain_task about pending steps that are not ready: behind a step in error, or waiting for their
-- parents.
create or replace function tasker._explain_blocked(task tasker.tasks)
returns table (subject text, fact text, advice text)
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  with recursive blocked(step_index) as (
    select d.child_index
    from tasker.steps s
    join tasker.template_dependencies d
      on d.template_id = task.template_id and d.parent_index = (s.step_id & 65535)::integer - 1
    where s.step_id between task.task_id << 16 and (task.task_id << 16) + 65535
      and s.state = 'error'
    union
    select d.child_index
    from blocked b
    join tasker.template_dependencies d on d.template_id = task.template_id and d.parent_index = b.step_index
  ), pending as (
    select ts.step_index, ts.name, b.step_index is not null as is_blocked
    from tasker.steps s
    join tasker.template_steps ts on ts.template_step_id = s.template_step_id
    left join blocked b on b.step_index = ts.step_index
    where s.step_id between task.task_id << 16 and (task.task_id << 16) + 65535
      and s.state = 'pending'
      and s.remaining_parents > 0
  ), numbered as (
    select p.*, row_number() over (partition by p.is_blocked order by p.step_index) as place
    from pending p
  )
  select
    'pending steps',
    format('%s behind steps %s: %s%s',
      count(*),
      case when n.is_blocked then 'in error' else 'that are not done' end,
      string_agg(n.name, ', ' order by n.step_index) filter (where n.place <= 20),
      case when count(*) > 20 then ', …' end),
    null::text
  from numbered n
  group by n.is_blocked
  order by n.is_blocked desc;
$$;
