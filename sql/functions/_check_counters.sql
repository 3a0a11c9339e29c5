-- The part of check() about counters of tasks, steps and what is in flight.
create or replace function tasker._check_counters()
returns table (subject text, id bigint, expected text, found text)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
begin
  return query
  with counted as (
    select
      s.task_id,
      count(*) as steps,
      count(*) filter (where s.state = 'pending' and s.remaining_parents = 0) as ready,
      count(*) filter (where s.state in ('enqueued', 'in_progress', 'waiting_for_retry')) as busy,
      count(*) filter (where s.state = 'error') as errors
    from tasker.steps s
    group by s.task_id
  ), counter as (
    select
      t.task_id,
      x.counter,
      x.expected,
      x.found
    from tasker.tasks t
    join tasker.task_templates tt on tt.template_id = t.template_id
    left join counted c on c.task_id = t.task_id
    cross join lateral (values
      ('tasks.active_steps', t.active_steps::bigint,
        coalesce(c.busy, 0) + case when t.state = 'in_progress' and t.stopping is null then coalesce(c.ready, 0) else 0 end),
      ('tasks.error_steps', t.error_steps, coalesce(c.errors, 0)),
      ('number of steps', coalesce(c.steps, 0), case when t.started_at is null then 0 else tt.step_count end)
    ) x(counter, found, expected)
  )
  select c.counter, c.task_id, c.expected::text, c.found::text
  from counter c
  where c.expected <> c.found
  order by c.counter, c.task_id;

  -- Cancelled steps are left out: what becomes of their parents no longer matters.
  return query
  select 'steps.remaining_parents', s.step_id, count(p.step_id)::text, s.remaining_parents::text
  from tasker.steps s
  join tasker.template_steps ts on ts.template_step_id = s.template_step_id
  left join tasker.template_dependencies d on d.template_id = ts.template_id and d.child_index = ts.step_index
  left join tasker.steps p
    on p.step_id = (s.task_id << 16) + 1 + d.parent_index
    and p.state not in ('complete', 'resolved_manually', 'skipped')
  where s.state <> 'cancelled'
  group by s.step_id
  having count(p.step_id) <> s.remaining_parents
  order by s.step_id;

  return query
  with busy as (
    select t.namespace_id, t.template_id, count(*) as steps
    from tasker.steps s
    join tasker.tasks t on t.task_id = s.task_id
    where s.state in ('enqueued', 'in_progress')
    group by t.namespace_id, t.template_id
  ), summed as (
    select d.namespace_id, d.template_id, sum(d.delta) as steps
    from tasker.in_flight_deltas d
    group by d.namespace_id, d.template_id
  )
  select
    format('steps in flight of template %s in namespace', template_id),
    namespace_id,
    coalesce(b.steps, 0)::text,
    coalesce(u.steps, 0)::text
  from busy b
  full join summed u using (namespace_id, template_id)
  where coalesce(b.steps, 0) <> coalesce(u.steps, 0)
  order by namespace_id, template_id;

  return query
  select 'task with nothing active', t.task_id, 'ended'::text, t.state
  from tasker.tasks t
  where t.state = 'in_progress' and t.active_steps = 0
    -- One that could not be finished is tried again.
    and t.task_id not in (select m.task_id from tasker.timers m where m.kind = 'finish')
  order by t.task_id;

  -- What a cancel left alone is a report of an open transaction, which is settled when that commits.
  return query
  select 'step of an ended task', s.step_id, case t.state when 'complete' then 'completed' else 'ended or reported' end, s.state
  from tasker.tasks t
  join tasker.steps s on s.task_id = t.task_id
  where t.finished_at is not null
    and case
      when t.state = 'complete' then s.state not in ('complete', 'resolved_manually', 'skipped')
      when s.state in ('enqueued', 'in_progress') then s.reported_at is null
      else s.state = 'waiting_for_retry'
    end
  order by s.step_id;
end $$;
