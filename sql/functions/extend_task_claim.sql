create or replace function tasker.extend_task_claim(task_id bigint, orchestrator_id text)
returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  at      constant timestamptz := tasker.clock();
  timeout interval;
  expires timestamptz;
begin
  select make_interval(secs => t.claim_timeout_seconds) into timeout
  from tasker.tasks t
  where t.task_id = extend_task_claim.task_id and t.state in ('pending', 'in_progress')
  for no key update;
  update tasker.claims c
  set expires_at = at + timeout
  where c.task_id = extend_task_claim.task_id and c.claimed_by = extend_task_claim.orchestrator_id and c.expires_at > at
    and timeout is not null
  returning c.expires_at into expires;
  if expires is null then
    return false;
  end if;
  update tasker.waiting w
  set claim_expires_at = expires
  where w.task_id = extend_task_claim.task_id and w.claimed_by = extend_task_claim.orchestrator_id;
  insert into tasker.timers (fire_at, kind, task_id) values (expires, 'claim', extend_task_claim.task_id);
  return true;
end $$;
comment on function tasker.extend_task_claim is
  'Extends a claim of claim_ready_tasks() by the task''s claim_timeout_seconds from now. Returns false when this orchestrator does not hold it (any more).';
