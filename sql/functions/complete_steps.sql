create or replace function tasker.complete_steps(results jsonb[], advance boolean default false)
returns table (item integer, step_id bigint, attempt integer, outcome text)
language plpgsql security definer
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
  max_bytes constant integer := tasker._setting('max_payload_bytes')::integer;
  settled   bigint[] := '{}';
begin
  -- It locks tasks: not after the caller's own writes, and not for as long as they may take.
  if complete_steps.advance and pg_current_xact_id_if_assigned() is not null then
    raise exception using
      errcode = 'active_sql_transaction',
      message = 'advance must be the first thing that its transaction writes',
      hint = 'Call it in a transaction of its own, or leave advance out: the orchestrator settles the results.';
  end if;
  if complete_steps.advance and current_setting('transaction_isolation') <> 'read committed' then
    perform tasker._need_read_committed('advance');
  end if;
  if cardinality(complete_steps.results) > 10000 then
    raise exception using errcode = 'invalid_parameter_value', message = 'results must be at most 10000',
      detail = format('There are %s.', cardinality(complete_steps.results)), hint = 'Deliver them in several calls.';
  end if;
  if tasker._is_limited('{worker}') then
    perform tasker._check_results(complete_steps.results, max_bytes);
    perform tasker._check_tasks('{worker}', array(select distinct (r ->> 'step_id')::bigint >> 16 from unnest(complete_steps.results) r));
  end if;
  if complete_steps.advance then
    -- What breaks in it (a row that was made inconsistent by hand, a message that is too large) must not keep the work from
    -- being delivered: a pass finds out what it is and sets that aside.
    begin
      settled := tasker._advance(complete_steps.results, tasker.clock());
    exception when others then
      if tasker._is_of_the_system(sqlstate) then
        raise;
      end if;
      raise log using errcode = sqlstate, message = format('results are queued, as advancing failed: %s', sqlerrm);
    end;
    if cardinality(settled) = cardinality(complete_steps.results) then
      return query
      select r.n::integer, (r.result ->> 'step_id')::bigint, (r.result ->> 'attempt')::integer, 'settled'
      from unnest(complete_steps.results) with ordinality r(result, n);
      return;
    end if;
  end if;
  -- Where there is a fault, it undoes what has been settled.
  perform tasker._check_results(complete_steps.results, max_bytes);

  return query
  with report as materialized (
    select r.n::integer as item, (r.result ->> 'step_id')::bigint as step_id, (r.result ->> 'attempt')::integer as attempt, r.result,
      case when lower(r.result ->> 'status') in ('success', 'completed') then 'success' else 'failure' end as status
    from unnest(complete_steps.results) with ordinality r(result, n)
  ), held as materialized (
    select s.step_id, s.attempts, s.state, s.reported_at
    from tasker.steps s
    where s.step_id = any(array(select r.step_id from report r)) and s.state in ('enqueued', 'in_progress', 'cancelled')
    order by s.step_id
    for no key update
  ), judged as materialized (
    select r.*,
      case
        when r.item = any(settled) then 'settled'
        when h.state in ('enqueued', 'in_progress') and h.attempts = r.attempt and h.reported_at is null
          and row_number() over (partition by r.step_id, r.attempt order by r.item) = 1 then 'queued'
        when h.state = 'cancelled' and h.attempts = r.attempt then 'cancelled'
        else 'late'
      end as outcome
    from report r
    left join held h on h.step_id = r.step_id
  ), reported as (
    update tasker.steps s
    set reported_at = tasker.clock(), reported_status = j.status,
      results = case when j.status = 'success' then j.result -> 'result_data' else s.results end,
      last_error = case when j.status = 'failure' then
        coalesce(tasker._error_object(j.result -> 'error'), '{"message": "the worker gave no reason"}')
        else s.last_error end
    from judged j
    where s.step_id = j.step_id and j.outcome = 'queued'
    returning s.step_id, j.attempt, j.status, j.result
  ), sent as materialized (
    select tasker._send('orchestration_step_results', b.messages)
    from (
      select array_agg(
          jsonb_build_object('step_id', r.step_id, 'attempt', r.attempt, 'status', r.status, 'reported', true)
            || (r.result - array['step_id', 'task_id', 'attempt', 'status', 'reported', 'result_data', 'error'])
          order by r.step_id) as messages
      from reported r
    ) b
    where b.messages is not null
  )
  select j.item, j.step_id, j.attempt, j.outcome
  from judged j
  cross join (select count(*) from sent) s
  order by j.item;
end $$;
comment on function tasker.complete_steps is
  'Reports many attempts, successes and failures alike, in the caller''s transaction. Each result: {"step_id", "attempt", "status": "success" | "failure", "result_data", "error", "orchestration_metadata"}. At most 10,000. Returns an outcome per item, in order: settled (with advance: settled in this call, and what became ready enqueued), queued (reported; the orchestrator settles it), late (over, superseded, unknown or a duplicate), cancelled. Late and cancelled ones raise no error here. With advance the call waits for tasks that another call or a pass has locked, 50 ms or as long as lock_timeout says where that is set; what stays locked is queued, and with it what is of later tasks. It must be the first to write in its transaction (25001), which should end with it and be read committed (25000). Raises 22023 when a result is not well-formed; then none is taken.';
