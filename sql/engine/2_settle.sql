-- Phase 2: results from the queue end attempts.
--
-- A message is judged in the statement that takes it; the plain case needs no more than the operators below, what they
-- cannot tell for sure goes to _result_fault. A result whose task, step or a child of it is locked by anybody stays in
-- the queue and is looked at again 50 ms later.
create or replace function tasker._settle(pass tasker._pass, batch integer, at timestamptz, only_msg_id bigint default null)
returns tasker._pass
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  taken    integer;
  bad_ids  bigint[];
  reasons  text[];
  msg_ids  bigint[];
  step_ids bigint[];
  attempts integer[];
  reports  jsonb[];
  task_ids bigint[];
  held_up  bigint[];
  held     bigint[];
  outcomes tasker._outcome[];
  done_ids bigint[];
  missing  bigint[];
  late     integer;
  ended    record;
begin
  with taken as materialized (
    select q.msg_id, q.message
    from pgmq.q_orchestration_step_results q
    where q.vt <= clock_timestamp() and (only_msg_id is null or q.msg_id = only_msg_id)
    order by q.msg_id
    limit batch
    for update skip locked
  ), judged as materialized (
    select k.msg_id, k.message,
      case
        when jsonb_typeof(k.message) = 'object'
          and jsonb_typeof(k.message -> 'step_id') = 'number'
          and scale((k.message -> 'step_id')::numeric) = 0
          and (k.message -> 'step_id')::numeric between 1 and 9223372036854775807
          and k.message ->> 'status' in ('success', 'failure')
          and case jsonb_typeof(k.message -> 'attempt')
                when 'number' then scale((k.message -> 'attempt')::numeric) = 0
                  and (k.message -> 'attempt')::numeric between 1 and 2147483647
                else not k.message ? 'attempt'
              end
          and case jsonb_typeof(k.message -> 'execution_time_ms')
                when 'number' then (k.message -> 'execution_time_ms')::numeric between 0 and 9007199254740992
                else not k.message ? 'execution_time_ms'
              end
          and case jsonb_typeof(k.message -> 'task_id')
                when 'number' then (k.message -> 'task_id')::numeric = (k.message -> 'step_id')::numeric::bigint >> 16
                else not k.message ? 'task_id'
              end
          and jsonb_typeof(coalesce(k.message -> 'error', 'null')) = 'null'
          and jsonb_typeof(coalesce(k.message -> 'orchestration_metadata', 'null')) = 'null'
        then null
        else tasker._result_fault(k.message)
      end as fault
    from taken k
  ), read as (
    select j.msg_id, j.message, j.fault,
      case when j.fault is null then (j.message ->> 'step_id')::bigint end as step_id,
      case when j.fault is null then (j.message ->> 'attempt')::integer end as attempt
    from judged j
  ), checked as (
    select r.msg_id, r.message, r.step_id, r.attempt,
      case
        when r.fault is not null then r.fault
        when (r.message ->> 'task_id')::bigint <> r.step_id >> 16
          then format('step %s is not of task %s', r.step_id, r.message ->> 'task_id')
      end as fault
    from read r
  )
  select count(*), array_agg(c.msg_id) filter (where c.fault is not null),
    array_agg(c.fault) filter (where c.fault is not null),
    array_agg(c.msg_id order by c.msg_id) filter (where c.fault is null),
    array_agg(c.step_id order by c.msg_id) filter (where c.fault is null),
    array_agg(c.attempt order by c.msg_id) filter (where c.fault is null),
    array_agg(c.message order by c.msg_id) filter (where c.fault is null)
  into taken, bad_ids, reasons, msg_ids, step_ids, attempts, reports
  from checked c;

  pass.more := pass.more or taken = batch;
  if bad_ids is not null then
    pass.rejected := pass.rejected + tasker._reject('orchestration_step_results', bad_ids, reasons, at);
  end if;
  if msg_ids is null then
    return pass;
  end if;

  -- The task is the lock that siblings, cancel and the operators share.
  select array_agg(t.task_id) into task_ids
  from (
    select t.task_id
    from tasker.tasks t
    where t.task_id = any(array(select distinct i >> 16 from unnest(step_ids) i))
    order by t.task_id
    for no key update skip locked
  ) t;
  -- The CASE makes a hash of the subquery; `= any(task_ids)` would be a search through the array for each step.
  held_up := tasker._held_up(array(
    select i from unnest(step_ids) i where case when i >> 16 in (select unnest(task_ids)) then true end));

  select array_agg(s.step_id) into held
  from (
    select s.step_id
    from tasker.steps s
    where s.step_id = any(array(
      select i
      from unnest(step_ids) i
      where case when i >> 16 in (select unnest(task_ids)) and i not in (select unnest(held_up)) then true end))
    order by s.step_id
    for no key update skip locked
  ) s;

  -- `matches`: the report is of the attempt that is in flight; where that has been reported in its row, only the message
  -- that says so. The first of several such counts, the others are late.
  -- Rows are read again by their key: a join with those that the locking statement returns would be a loop over both
  -- (the planner expects one row), 13 us a step in batches of 100.
  with report as (
    select r.msg_id, r.step_id, l.step_id is null as missing, l.state, l.attempts, l.reported_at, l.reported_status,
      l.results, l.last_error, r.message,
      l.state in ('enqueued', 'in_progress') and coalesce(r.attempt = l.attempts, true)
        and (l.reported_at is not null) = coalesce(r.message -> 'reported' = 'true', false) as matches
    from unnest(msg_ids, step_ids, attempts, reports) r(msg_id, step_id, attempt, message)
    left join tasker.steps l on l.step_id = r.step_id and l.step_id = any(held)
  ), ranked as (
    select r.*, row_number() over (partition by r.step_id, r.matches order by r.msg_id) as nth
    from report r
  )
  select
    array_agg(
      case when r.reported_at is null
        then tasker._outcome_of(r.step_id, r.attempts, r.state, r.message)
        else row(r.step_id, r.attempts, r.state, r.reported_status = 'success', r.results, r.last_error,
          nullif(r.message -> 'orchestration_metadata', 'null'), (r.message ->> 'execution_time_ms')::numeric)::tasker._outcome
      end
      order by r.step_id) filter (where r.matches and r.nth = 1),
    array_agg(r.msg_id) filter (where not r.missing),
    array_agg(r.msg_id) filter (where r.missing),
    count(*) filter (where not r.missing and not (r.matches and r.nth = 1))
  into outcomes, done_ids, missing, late
  from ranked r;

  if missing is not null then
    pass := tasker._settle_missing(pass, msg_ids, step_ids, missing, at);
  end if;
  if outcomes is not null then
    select * into ended from tasker._end_attempts(outcomes, at);
    pass.ready := pass.ready || ended.ready;
    pass.over := pass.over || ended.over;
    pass.settled := pass.settled + cardinality(outcomes);
  end if;
  delete from pgmq.q_orchestration_step_results q where q.msg_id = any(done_ids);
  pass.late := pass.late + late;
  return pass;
end $$;
