-- Locks the tasks and steps that results are about, in the order of their ids, and says which attempts they end.
-- Where all are of one namespace, that is the only_namespace.
--
-- Results are named by their place in `messages`, from 1: `settled` in the order of the outcomes, and all that are `held`.
-- Not held are those that cannot be used, that name no step, or whose task or step somebody has locked; without `queued`
-- also those that a queue takes and a call does not: without an attempt, or too large.
--
-- A result counts when it is of the attempt that is in flight; where that has been reported in its row, only the message
-- that says so does (queued). The first of several counts, the others are late. One from a queue that is too large counts
-- as a failure without what it carries; a success that is will be no smaller next time, so it is not tried again.
create or replace function tasker._hold_attempts(
  messages jsonb[], queued boolean,
  out outcomes tasker._outcome[], out settled bigint[], out held bigint[],
  out only_namespace bigint)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  max_bytes constant integer := tasker._setting('max_payload_bytes')::integer;
  steps bigint;
begin
  with report as (
    select r.*, s.attempts, s.state, s.reported_at, s.reported_status, s.results as reported_results, s.last_error,
      t.namespace_id, t.template_id,
      s.state in ('enqueued', 'in_progress') and (r.attempt is null or r.attempt = s.attempts)
        and (queued and r.reported) = (s.reported_at is not null) as matches
    from tasker._read_results(messages) r
    join tasker.tasks t on t.task_id = r.step_id >> 16
    join tasker.steps s on s.step_id = r.step_id
    where queued or r.attempt is not null and r.bytes <= max_bytes
    order by r.step_id
    for no key update of t, s skip locked
  )
  select
    array_agg(
      case
        when r.reported_at is null and r.bytes > max_bytes
        then row(r.step_id, r.attempts, r.state, r.namespace_id, r.template_id, false, null,
          jsonb_build_object('error_type', 'report_too_large', 'retryable', not r.success and r.error ->> 'retryable' is distinct from 'false',
            'message', format('the report (%s) has %s bytes, more than tasker.max_payload_bytes (%s)',
              case when r.success then 'success' else 'failure' end, r.bytes, max_bytes)),
          null, r.took_ms)::tasker._outcome
        when r.reported_at is null
        then row(r.step_id, r.attempts, r.state, r.namespace_id, r.template_id, r.success, r.results, r.error,
          r.metadata, r.took_ms)::tasker._outcome
        else row(r.step_id, r.attempts, r.state, r.namespace_id, r.template_id, r.reported_status = 'success',
          r.reported_results, r.last_error, r.metadata, r.took_ms)::tasker._outcome
      end) filter (where r.matches),
    array_agg(r.n) filter (where r.matches), array_agg(r.n),
    case when min(r.namespace_id) = max(r.namespace_id) then min(r.namespace_id) end,
    count(distinct r.step_id) filter (where r.matches)
  into outcomes, settled, held, only_namespace, steps
  from report r;

  -- Several of one attempt are rare: to number all of them for it costs 0.5 us each.
  if steps < cardinality(settled) then
    select array_agg(outcomes[f.i] order by f.i), array_agg(settled[f.i] order by f.i) into outcomes, settled
    from (
      select i, row_number() over (partition by (outcomes[i]).step_id order by settled[i]) = 1 as is_first
      from generate_subscripts(settled, 1) i
    ) f
    where f.is_first;
  end if;
end $$;
