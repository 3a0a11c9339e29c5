-- Steps whose retry delay is over are ready again. Those of a task that has stopped are cancelled instead, with what else of
-- it somebody had locked then.
create or replace function tasker._fire_retries(pass tasker._pass, due tasker.timers[], at timestamptz)
returns tasker._pass
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  step_ids  bigint[];
  attempts  integer[];
  task_ids  bigint[];
  held      bigint[];
  ready     bigint[];
  stopping  bigint[];
begin
  -- What has moved on (cancelled, resolved, retried by hand) needs no lock to be seen. An attempt that was cancelled and
  -- reopened has two timers: the one that it had and a new one.
  select array_agg(r.step_id), array_agg(r.attempts) into step_ids, attempts
  from (
    select distinct s.step_id, s.attempts
    from unnest(due) d
    cross join lateral unnest(d.step_ids, d.attempts) i(step_id, attempt)
    join tasker.steps s on s.step_id = i.step_id
    join tasker.tasks t on t.task_id = s.task_id
    where d.kind = 'retry' and s.attempts = i.attempt
      and (s.state = 'waiting_for_retry' or s.state = 'pending' and t.state = 'in_progress' and t.stopping is not null)
  ) r;
  if step_ids is null then
    return pass;
  end if;

  select array_agg(t.task_id) into task_ids
  from (
    select t.task_id
    from tasker.tasks t
    where t.task_id = any(array(select distinct i >> 16 from unnest(step_ids) i))
    order by t.task_id
    for no key update skip locked
  ) t;
  select array_agg(s.step_id) into held
  from (
    select s.step_id
    from tasker.steps s
    where s.step_id = any(step_ids) and s.task_id = any(task_ids)
    order by s.step_id
    for no key update skip locked
  ) s;

  -- The other timer of one that waits for room already has nothing to do.
  select
    array_agg(s.step_id order by s.step_id) filter (
      where s.state = 'waiting_for_retry' and t.stopping is null and t.state = 'in_progress'
        and not exists (select from tasker.waiting w where w.task_id = s.task_id and w.step_id = s.step_id)),
    array_agg(distinct t.task_id) filter (where t.stopping is not null)
  into ready, stopping
  from unnest(step_ids, attempts) i(step_id, attempt)
  join tasker.steps s on s.step_id = i.step_id
  join tasker.tasks t on t.task_id = s.task_id
  where s.step_id = any(held) and s.state in ('pending', 'waiting_for_retry') and s.attempts = i.attempt;
  pass.ready := pass.ready || ready;

  -- Were locked by somebody when their task stopped.
  if stopping is not null then
    pass.over := pass.over || tasker._cancel_steps(stopping, 'the task has stopped', at, false);
  end if;

  select array_agg(i.step_id), array_agg(i.attempt) into step_ids, attempts
  from unnest(step_ids, attempts) i(step_id, attempt)
  where i.step_id <> all(coalesce(held, '{}'));
  if step_ids is not null then
    pass := tasker._rearm(pass, 'retry', at + interval '50 milliseconds', step_ids, attempts);
  end if;
  return pass;
end $$;
