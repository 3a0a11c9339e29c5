create or replace function tasker.run_until_idle(max_passes integer default 1000)
returns integer
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  pass   record;
  passes integer := 0;
begin
  loop
    if passes >= run_until_idle.max_passes then
      raise exception using
        errcode = 'program_limit_exceeded',
        message = format('not idle after %s passes', passes),
        hint = 'Raise max_passes, or look at tasker.queue_status for what keeps the engine busy.';
    end if;
    select * into pass from tasker.orchestrate();
    passes := passes + 1;
    exit when not pass.more
      and pass.accepted + pass.settled + pass.late + pass.rejected + pass.fired + pass.started + pass.enqueued + pass.finished = 0;
  end loop;
  return passes;
end $$;
comment on function tasker.run_until_idle is
  'Runs passes in the caller''s transaction until one finds nothing to do; returns how many. For tests and for servers without the background worker. Raises 54000 after max_passes.';
