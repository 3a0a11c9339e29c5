-- Of steps that are about to end, those that cannot yet: a child of theirs is locked by somebody. The children of the
-- others are locked from here on, so that releasing and enqueueing them waits for nobody. The caller holds the tasks.
create or replace function tasker._held_up(step_ids bigint[])
returns bigint[]
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
begin
  return (
    with child as materialized (
      select p.step_id as parent_id, (t.task_id << 16) + 1 + d.child_index as step_id
      from unnest(_held_up.step_ids) p(step_id)
      -- `offset 0`: else all edges of the template are read for every parent (4 ms a step in a fan of 9,000).
      cross join lateral (select t.task_id, t.template_id from tasker.tasks t where t.task_id = p.step_id >> 16 offset 0) t
      cross join lateral (
        select d.child_index
        from tasker.template_dependencies d
        where d.template_id = t.template_id and d.parent_index = (p.step_id & 65535)::integer - 1
        offset 0) d
    ), held as materialized (
      select s.step_id
      from tasker.steps s
      where s.step_id = any(array(select distinct c.step_id from child c))
      order by s.step_id
      for no key update skip locked
    )
    select array_agg(distinct c.parent_id)
    from child c
    where c.step_id not in (select h.step_id from held h));
end $$;
