-- One look of poll_steps. A message leaves the queue when its step is marked; one whose attempt is over, or reported by
-- a worker who left it there, is dropped; one whose step somebody has locked stays. Steps are locked in the order of
-- their ids and no task is. Returns nothing only when there is nothing: a look that met only messages of no use is
-- followed by one behind them.
create or replace function tasker._take_steps(
  namespace text, qty integer, lease interval, worker_id text, task_names text[], step_names text[])
returns table (msg_id bigint, step_id bigint, task_id bigint, attempt integer, message jsonb)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  queue_table constant name := 'q_' || _take_steps.namespace || '_queue';
  at          constant timestamptz := tasker.clock();
  taken       record;
  after       bigint := 0;
begin
  loop
    execute format(
      $sql$
        select array_agg(q.msg_id order by q.msg_id) filter (where q.valid) as msg_ids,
          array_agg(case when q.valid then (q.message ->> 'step_id')::bigint end order by q.msg_id) filter (where q.valid) as step_ids,
          array_agg(case when q.valid then (q.message ->> 'attempt')::integer end order by q.msg_id) filter (where q.valid) as attempts,
          array_agg(q.msg_id) filter (where not q.valid) as bad_ids, max(q.msg_id) as last_id
        from (
          select q.msg_id, q.message,
            case when jsonb_typeof(q.message -> 'step_id') = 'number' and jsonb_typeof(q.message -> 'attempt') = 'number'
              then (q.message -> 'step_id')::numeric between 1 and 9223372036854775807
                and (q.message -> 'attempt')::numeric between 1 and 2147483647
                and scale((q.message -> 'step_id')::numeric) = 0 and scale((q.message -> 'attempt')::numeric) = 0
              else false
            end as valid
          from pgmq.%I q
          where q.vt <= clock_timestamp() and q.msg_id > $4 %s %s
          order by q.msg_id
          limit $1
          for update skip locked) q
      $sql$, queue_table,
      case when _take_steps.task_names is not null then 'and q.message ->> ''task_name'' = any($2)' end,
      case when _take_steps.step_names is not null then 'and q.message ->> ''step_name'' = any($3)' end)
    into taken
    using _take_steps.qty, _take_steps.task_names, _take_steps.step_names, after;

    -- Only the engine sends here; what somebody else put in is set apart, lest it stand in the way for ever.
    if taken.bad_ids is not null then
      perform tasker._reject(_take_steps.namespace || '_queue', taken.bad_ids,
        array_fill('not a step message: step_id or attempt is missing or no integer'::text, array[cardinality(taken.bad_ids)]), at);
    end if;
    exit when taken.last_id is null;
    after := taken.last_id;
    continue when taken.msg_ids is null;

    return query execute format(
      $sql$
        with held as materialized (
          select s.step_id, s.task_id, s.attempts, s.state, s.reported_at, s.template_step_id
          from tasker.steps s
          where s.step_id = any($2)
          order by s.step_id
          for no key update skip locked
        ), asked as (
          select i.msg_id, i.step_id, h.task_id, i.attempt,
              h.attempts = i.attempt and h.state = 'enqueued' and h.reported_at is null as current,
            extract(epoch from coalesce($4, make_interval(secs => coalesce(ts.timeout_seconds, tasker._setting('step_timeout')::integer)))) as lease
          from unnest($1, $2, $3) i(msg_id, step_id, attempt)
          join held h on h.step_id = i.step_id
          join tasker.template_steps ts on ts.template_step_id = h.template_step_id
        ), begun as (
          update tasker.steps s
          set state = 'in_progress', started_at = $6, worker_id = $5
          from asked a
          where s.step_id = a.step_id and a.current
        ), audited as (
          insert into tasker.step_transitions (step_id, task_id, created_at, attempt, from_state, to_state, actor, metadata)
          select a.step_id, a.task_id, $6, a.attempt, 'enqueued', 'in_progress', session_user,
            case when $5 is not null then jsonb_build_object('worker_id', $5) end
          from asked a
          where a.current
        ), timed as (
          insert into tasker.timers (fire_at, kind, step_ids, attempts)
          select $6 + make_interval(secs => a.lease), 'lease', array_agg(a.step_id), array_agg(a.attempt)
          from asked a
          where a.current
          group by a.lease
        ), gone as (
          delete from pgmq.%I q
          using (
            select i.msg_id, i.step_id
            from unnest($1, $2) i(msg_id, step_id)
            where exists (select from held h where h.step_id = i.step_id)
              or not exists (select from tasker.steps s where s.step_id = i.step_id)
          ) i
          where q.msg_id = i.msg_id
          returning q.msg_id, q.message, q.enqueued_at, i.step_id
        ), refused as (
          insert into tasker.rejected_messages (queue_name, msg_id, message, reason, enqueued_at, rejected_at)
          select $7, g.msg_id, g.message, format('step %%s does not exist', g.step_id), g.enqueued_at, $6
          from gone g
          where g.step_id not in (select h.step_id from held h)
        )
        select a.msg_id, a.step_id, a.task_id, a.attempt, g.message
        from asked a
        join gone g on g.msg_id = a.msg_id
        where a.current
        order by a.msg_id
      $sql$, queue_table)
    using taken.msg_ids, taken.step_ids, taken.attempts, _take_steps.lease, _take_steps.worker_id, at, _take_steps.namespace || '_queue';
    exit when found;
  end loop;
end $$;
