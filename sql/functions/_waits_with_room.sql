-- Whether anything waits in a namespace whose template has room; the limited templates (templates, rooms) may have none.
create or replace function tasker._waits_with_room(namespace_id bigint, templates bigint[], rooms bigint[])
returns boolean
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
begin
  -- From one template to the next, from their ends.
  return exists (
    with recursive template as (
      (select w.template_id
       from tasker.waiting w
       where w.namespace_id = _waits_with_room.namespace_id and w.claimed_by is null
       order by w.template_id desc
       limit 1)
      union all
      select n.template_id
      from template t
      cross join lateral (
        select w.template_id
        from tasker.waiting w
        where w.namespace_id = _waits_with_room.namespace_id and w.claimed_by is null and w.template_id < t.template_id
        order by w.template_id desc
        limit 1) n
    )
    select
    from template t
    left join unnest(_waits_with_room.templates, _waits_with_room.rooms) l(template_id, room) on l.template_id = t.template_id
    where coalesce(l.room > 0, true));
end $$;
