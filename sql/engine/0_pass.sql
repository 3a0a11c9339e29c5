-- The phases of a pass, in their order.
create or replace function tasker._run_phases(batch integer, at timestamptz)
returns tasker._pass
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  pass tasker._pass := tasker._new_pass();
begin
  pass := tasker._accept(pass, batch, at);
  pass := tasker._settle(pass, batch, at);
  if tasker._first_timer() <= at then
    pass := tasker._fire(pass, at);
  end if;
  pass := tasker._claim(pass, batch, at);
  if pass.over <> '{}' then
    pass := tasker._finish(pass, at);
  end if;
  if tasker._any_held_events() then
    pass := tasker._publish_held(pass, at);
  end if;
  return tasker._when_to_come_back(pass, at);
end $$;
