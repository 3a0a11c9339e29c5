-- The tasks whose waiting work comes first in order of computed priority, of one namespace or of all that are not
-- paused. Reads the first `wanted` rows of each (namespace, template, priority), as _claim_waiting does.
create or replace function tasker._first_waiting_tasks(namespace text, wanted integer, at timestamptz)
returns bigint[]
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
begin
  return array(
    with recursive class as (
      (select w.namespace_id, w.template_id, w.priority
       from tasker.waiting w
       where w.claimed_by is null
       order by w.namespace_id, w.template_id, w.priority
       limit 1)
      union all
      select n.namespace_id, n.template_id, n.priority
      from class c
      cross join lateral (
        select w.namespace_id, w.template_id, w.priority
        from tasker.waiting w
        where w.claimed_by is null
          and (w.namespace_id, w.template_id, w.priority) > (c.namespace_id, c.template_id, c.priority)
        order by w.namespace_id, w.template_id, w.priority
        limit 1) n
    ), candidate as (
      select h.task_id, c.priority, h.since
      from class c
      join tasker.namespaces n on n.namespace_id = c.namespace_id
      cross join lateral (
        -- Tasks, not rows: all steps of a task wait since the same time, side by side in the index.
        select distinct w.since, w.task_id
        from tasker.waiting w
        where w.namespace_id = c.namespace_id and w.template_id = c.template_id and w.priority = c.priority
          and w.claimed_by is null
        order by w.since, w.task_id
        limit wanted) h
      where not n.paused and (_first_waiting_tasks.namespace is null or n.name = _first_waiting_tasks.namespace)
    )
    select c.task_id
    from candidate c
    group by c.task_id
    order by max(tasker._computed_priority(c.priority, c.since, at)) desc, min(c.since), c.task_id
    limit wanted);
end $$;
