-- The steps that these depend on.
create or replace function tasker._parents_of(children bigint[])
returns bigint[]
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
begin
  return array(
    select (t.task_id << 16) + 1 + d.parent_index
    from unnest(children) c(step_id)
    cross join lateral (select t.task_id, t.template_id from tasker.tasks t where t.task_id = c.step_id >> 16 offset 0) t
    cross join lateral (
      select d.parent_index
      from tasker.template_dependencies d
      where d.template_id = t.template_id and d.child_index = (c.step_id & 65535)::integer - 1
      offset 0) d);
end $$;
