-- What becomes of the children of steps that are about to be done: `ready` when no parent is missing any more, else how many
-- still are. Parents with a child that somebody has locked are `held_up`: they cannot end yet, so that releasing and
-- enqueueing their children waits for nobody. The caller holds the tasks.
--
-- A child that nobody has ever locked (xmax is 0) is not locked here either: it is updated a moment later. Its task's lock
-- keeps all of ours away from it, and who locks it by hand within that moment is waited for as long as lock_timeout says,
-- once: the next look sees that lock. An explicit lock costs 54 bytes of write-ahead log a step.
create or replace function tasker._hold_children(
  parents bigint[], templates bigint[],
  out ready bigint[], out unready bigint[], out still_missing integer[], out held_up bigint[])
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  touched bigint[];
  locked  bigint[];
  mine    boolean := false;
begin
  loop
    with child as (
      select e.child_id as step_id, s.remaining_parents - e.released as missing, s.pending, s.touched
      from (
        select (p.step_id & ~65535::bigint) + 1 + d.child_index as child_id, count(*)::integer as released
        from (select unnest(_hold_children.parents) as step_id, unnest(_hold_children.templates) as template_id offset 0) p
        -- `offset 0`: else all edges of the template are read for every parent (4 ms a step in a fan of 9,000).
        cross join lateral (
          select d.child_index
          from tasker.template_dependencies d
          where d.template_id = p.template_id and d.parent_index = (p.step_id & 65535)::integer - 1
          offset 0) d
        group by 1
        offset 0
      ) e
      cross join lateral (
        select s.remaining_parents, s.state = 'pending' as pending, s.xmax <> '0' as touched
        from tasker.steps s
        where s.step_id = e.child_id
        offset 0) s
    )
    select array_agg(c.step_id order by c.step_id) filter (where c.missing = 0 and c.pending),
      array_agg(c.step_id) filter (where c.missing > 0 or not c.pending),
      array_agg(c.missing) filter (where c.missing > 0 or not c.pending),
      array_agg(c.step_id) filter (where c.touched)
    into ready, unready, still_missing, touched
    from child c;
    exit when mine or touched is null;

    select array_agg(s.step_id) into locked
    from (
      select s.step_id from tasker.steps s where s.step_id = any(touched) order by s.step_id for no key update skip locked) s;
    if cardinality(locked) is distinct from cardinality(touched) then
      held_up := tasker._parents_of(array(select i from unnest(touched) i where i not in (select unnest(locked))));
      select array_agg(p.step_id), array_agg(p.template_id) into _hold_children.parents, _hold_children.templates
      from unnest(_hold_children.parents, _hold_children.templates) p(step_id, template_id)
      where p.step_id not in (select unnest(held_up));
    end if;
    mine := true;
  end loop;
end $$;
