-- Sets timers of one kind again for attempts that somebody's open transaction kept us from judging, or that have more
-- time.
create or replace function tasker._rearm(pass tasker._pass, kind text, fire_at timestamptz, step_ids bigint[], attempts integer[])
returns tasker._pass
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
begin
  insert into tasker.timers (fire_at, kind, step_ids, attempts)
  values (_rearm.fire_at, _rearm.kind, _rearm.step_ids, _rearm.attempts);
  pass.next_due_at := least(pass.next_due_at, _rearm.fire_at);
  return pass;
end $$;
