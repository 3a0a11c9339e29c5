-- A pass. `tried`: the caller has seen that it does not go at once.
--
-- Plans live as long as the session, and those of a young system are made while its tables are empty: left to itself the
-- planner scans all steps and all that waits, or begins a join at the wrong end. So joins run as they are written, from
-- the few rows at hand along unique keys, and never over whole tables: 60 us a step against 183 on a young system, and
-- against a time-out after 300,000 finished steps (a chain of ten, one session, no ANALYZE). Disabled scans look dear
-- enough to be compiled, hence jit.
create or replace function tasker._orchestrate(batch_size integer, tried boolean)
returns table (
  accepted integer, settled integer, late integer, rejected integer, fired integer, started integer, enqueued integer,
  finished integer, more boolean, next_due_at timestamptz)
language plpgsql
set search_path = pg_catalog, pg_temp
set lock_timeout = '1s'
set enable_seqscan = off
set enable_bitmapscan = off
set join_collapse_limit = 1
set enable_memoize = off
set jit = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict error
declare
  batch constant integer := coalesce(_orchestrate.batch_size, tasker._setting('batch_size')::integer);
  at    constant timestamptz := tasker.clock();
  pass  tasker._pass;
begin
  if current_setting('transaction_isolation') <> 'read committed' then
    perform tasker._need_read_committed('a pass');
  end if;
  if batch < 1 then
    raise exception using errcode = 'invalid_parameter_value', message = 'batch_size must be at least 1',
      detail = format('It is %s.', batch);
  end if;

  if tasker._identity_is_ours() then
    begin
      if not _orchestrate.tried then
        pass := tasker._pass_at_once(batch, at);
      end if;
      if pass.accepted is null then
        pass := tasker._run_phases(batch, at);
      end if;
      if not pass.more and tasker._setting('retention')::integer >= 0
        and pass.accepted + pass.settled + pass.fired + pass.started + pass.enqueued + pass.finished = 0 then
        pass := tasker._remove_finished(pass, at);
      end if;
    exception when others then
      if tasker._is_of_the_system(sqlstate) then
        raise;
      end if;
      raise log using errcode = sqlstate, message = format('a pass failed and is repeated in isolation: %s', sqlerrm);
      pass := tasker._run_phases_apart(batch, at);
    end;
  else
    pass := tasker._new_pass();
    if tasker._identity_is_ours() is false then
      raise notice using
        message = 'this engine belongs to another cluster or database and stays idle',
        hint = 'If the original does not run any more, or this copy is to work on its own: SELECT tasker.take_over().';
    end if;
  end if;

  return query select pass.accepted, pass.settled, pass.late, pass.rejected, pass.fired, pass.started, pass.enqueued,
    pass.finished, pass.more, pass.next_due_at;
end $$;
