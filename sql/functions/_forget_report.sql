-- A report by function whose message could not be settled and was rejected: the step must not wait for it for ever. Its
-- attempt is in flight again, unreported, and has its timeout left; then it is lost, and tried again.
create or replace function tasker._forget_report(message jsonb, at timestamptz)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
begin
  if message -> 'reported' is distinct from 'true' then
    return;
  end if;
  with held as materialized (
    select s.step_id
    from tasker.steps s
    where s.step_id = (message ->> 'step_id')::bigint and s.attempts = (message ->> 'attempt')::integer
      and s.state in ('enqueued', 'in_progress') and s.reported_at is not null
    for no key update skip locked
  ), forgotten as (
    update tasker.steps s
    set reported_at = null, reported_status = null
    from held h
    where s.step_id = h.step_id
    returning s.step_id, s.attempts, s.state, s.template_step_id
  )
  insert into tasker.timers (fire_at, kind, step_ids, attempts)
  select at + make_interval(secs => coalesce(ts.timeout_seconds, tasker._setting('step_timeout')::integer)),
    case f.state when 'in_progress' then 'lease' else 'absent' end, array[f.step_id], array[f.attempts]
  from forgotten f
  join tasker.template_steps ts on ts.template_step_id = f.template_step_id;
end $$;
