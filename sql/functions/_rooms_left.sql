-- The rooms of limited templates less what is chosen already: steps, and tasks to start, which count as one step.
create or replace function tasker._rooms_left(templates bigint[], rooms bigint[], step_ids bigint[], task_ids bigint[])
returns bigint[]
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
begin
  if templates is null or step_ids = '{}' and task_ids = '{}' then
    return rooms;
  end if;
  return array(
    select r.room - (
      select count(*)
      from (select i >> 16 from unnest(step_ids) i union all select i from unnest(task_ids) i) c(task_id)
      join tasker.tasks t on t.task_id = c.task_id
      where t.template_id = r.template_id)
    from unnest(templates, rooms) with ordinality r(template_id, room, n)
    order by r.n);
end $$;
