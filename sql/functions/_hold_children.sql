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
  child  record;
  locked bigint[];
  mine   boolean := false;
begin
  loop
    child := tasker._look_at_children(_hold_children.parents, _hold_children.templates);
    exit when mine or child.touched is null;

    select array_agg(s.step_id) into locked
    from (
      select s.step_id from tasker.steps s where s.step_id = any(child.touched) order by s.step_id for no key update skip locked) s;
    if cardinality(locked) is distinct from cardinality(child.touched) then
      held_up := tasker._parents_of(array(select i from unnest(child.touched) i where i not in (select unnest(locked))));
      select array_agg(p.step_id), array_agg(p.template_id) into _hold_children.parents, _hold_children.templates
      from unnest(_hold_children.parents, _hold_children.templates) p(step_id, template_id)
      where p.step_id not in (select unnest(held_up));
    end if;
    mine := true;
  end loop;
  ready := child.ready;
  unready := child.unready;
  still_missing := child.still_missing;
end $$;
