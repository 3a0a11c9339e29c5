-- What complete_steps does first: it looks whether the call may do that, and with `advance` settles what it can. Returns the
-- places (from 1) of the results that are settled; the others have to be queued. `tried`: the caller has seen that the call
-- may advance, and that these do not at once.
create or replace function tasker._deliver(results jsonb[], advance boolean, tried boolean default false)
returns bigint[]
language plpgsql
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set join_collapse_limit = 1
set enable_memoize = off
set jit = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict error
declare
  at      timestamptz;
  done    record;
  settled bigint[] := '{}';
begin
  -- It locks tasks: not after the caller's own writes, and not for as long as they may take.
  if _deliver.advance and not _deliver.tried and pg_current_xact_id_if_assigned() is not null then
    raise exception using
      errcode = 'active_sql_transaction',
      message = 'advance must be the first thing that its transaction writes',
      hint = 'Call it in a transaction of its own, or leave advance out: the orchestrator settles the results.';
  end if;
  if _deliver.advance and current_setting('transaction_isolation') <> 'read committed' then
    perform tasker._need_read_committed('advance');
  end if;
  if cardinality(_deliver.results) > 10000 then
    raise exception using errcode = 'invalid_parameter_value', message = 'results must be at most 10000',
      detail = format('There are %s.', cardinality(_deliver.results)), hint = 'Deliver them in several calls.';
  end if;
  if tasker._is_limited('{worker}') then
    perform tasker._check_results(_deliver.results, tasker._setting('max_payload_bytes')::integer);
    perform tasker._check_tasks('{worker}', array(select distinct (r ->> 'step_id')::bigint >> 16 from unnest(_deliver.results) r));
  end if;
  if _deliver.advance and _deliver.results <> '{}' then
    at := tasker.clock();
    -- What breaks in it (a row that was made inconsistent by hand, a message that is too large) must not keep the work from
    -- being delivered: a pass finds out what it is and sets that aside.
    begin
      if _deliver.tried then
        settled := tasker._advance(_deliver.results, at);
      else
        done := tasker._advance_at_once(_deliver.results, at);
        settled := coalesce(done.settled, tasker._advance(_deliver.results, at, done.holds));
      end if;
    exception when others then
      if tasker._is_of_the_system(sqlstate) then
        raise;
      end if;
      raise log using errcode = sqlstate, message = format('results are queued, as advancing failed: %s', sqlerrm);
      settled := '{}';
    end;
  end if;
  return settled;
end $$;
