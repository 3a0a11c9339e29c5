create or replace function tasker.extend_step(step_id bigint, attempt integer, lease interval default null)
returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  timeout_seconds integer;
begin
  if tasker._is_limited('{worker}') then
    perform tasker._check_tasks('{worker}', array[extend_step.step_id >> 16]);
  end if;
  if extend_step.lease <= interval '0' then
    raise exception using errcode = 'invalid_parameter_value', message = 'lease must be longer than nothing',
      detail = format('It is %s.', extend_step.lease), hint = 'Pass NULL for the timeout of the step.';
  end if;
  -- Reads the step, never writes it: a heartbeat must not abort its worker's own transaction.
  select coalesce(ts.timeout_seconds, tasker._setting('step_timeout')::integer) into timeout_seconds
  from tasker.steps s
  join tasker.template_steps ts on ts.template_step_id = s.template_step_id
  where s.step_id = extend_step.step_id and s.attempts = extend_step.attempt
    and s.state in ('enqueued', 'in_progress') and s.reported_at is null;
  if not found then
    return false;
  end if;

  insert into tasker.leases as l (step_id, attempt, expires_at)
  values (extend_step.step_id, extend_step.attempt,
    tasker.clock() + coalesce(extend_step.lease, make_interval(secs => timeout_seconds)))
  on conflict on constraint leases_pkey do update set expires_at = greatest(l.expires_at, excluded.expires_at);
  return true;
end $$;
comment on function tasker.extend_step is
  'The heartbeat: the attempt has until now + lease (NULL = the step''s timeout) to report, if that is later than it had. Commit it at once, from a second connection where the worker sits in a transaction. Returns false when the attempt was cancelled, reported or superseded: stop working. Never touches the step itself.';
