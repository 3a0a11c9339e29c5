-- Puts ready steps in the order in which they should be enqueued, and separates those for which the namespace, or their
-- template, has no room.
create or replace function tasker._fit(
  ready bigint[], room bigint, templates bigint[], rooms bigint[], at timestamptz, out step_ids bigint[], out left_over bigint[])
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
begin
  with ranked as (
    select r.step_id, row_number() over rank as n,
      coalesce(row_number() over (partition by t.template_id order by tasker._computed_priority(t.priority,
        greatest(t.run_at, t.created_at), at) desc, greatest(t.run_at, t.created_at), r.step_id) <= l.room, true) as fits
    from unnest(_fit.ready) r(step_id)
    join tasker.tasks t on t.task_id = r.step_id >> 16
    left join unnest(_fit.templates, _fit.rooms) l(template_id, room) on l.template_id = t.template_id
    window rank as (order by tasker._computed_priority(t.priority, greatest(t.run_at, t.created_at), at) desc,
      greatest(t.run_at, t.created_at), r.step_id)
  ), counted as (
    select r.step_id, r.n, r.fits and count(*) filter (where r.fits) over (order by r.n) <= _fit.room as fits
    from ranked r
  )
  select array_agg(c.step_id order by c.n) filter (where c.fits), array_agg(c.step_id order by c.n) filter (where not c.fits)
  into _fit.step_ids, _fit.left_over
  from counted c;
end $$;
