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
  pass := tasker._fire(pass, at);
  pass := tasker._claim(pass, batch, at);
  pass := tasker._finish(pass, at);
  pass := tasker._publish_held(pass, at);
  return tasker._when_to_come_back(pass, at);
end $$;
