-- Reports attempts and sends those results to the queue that are not `settled` (places from 1). Returns what became of each of
-- them. Where one is not well-formed, its error undoes what has been settled.
create or replace function tasker._queue_results(results jsonb[], settled bigint[])
returns table (item integer, step_id bigint, attempt integer, outcome text)
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
begin
  perform tasker._check_results(_queue_results.results, tasker._setting('max_payload_bytes')::integer);

  return query
  with report as materialized (
    select r.n::integer as item, (r.result ->> 'step_id')::bigint as step_id, (r.result ->> 'attempt')::integer as attempt, r.result,
      case when lower(r.result ->> 'status') in ('success', 'completed') then 'success' else 'failure' end as status
    from unnest(_queue_results.results) with ordinality r(result, n)
  ), held as materialized (
    select s.step_id, s.attempts, s.state, s.reported_at
    from tasker.steps s
    where s.step_id = any(array(select r.step_id from report r)) and s.state in ('enqueued', 'in_progress', 'cancelled')
    order by s.step_id
    for no key update
  ), judged as materialized (
    select r.*,
      case
        when r.item = any(_queue_results.settled) then 'settled'
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
