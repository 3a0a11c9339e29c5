create or replace function tasker.release_task_claim(task_id bigint, orchestrator_id text)
returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
begin
  perform from tasker.tasks t where t.task_id = release_task_claim.task_id for no key update;
  delete from tasker.claims c
  where c.task_id = release_task_claim.task_id and c.claimed_by = release_task_claim.orchestrator_id;
  if not found then
    return false;
  end if;
  update tasker.waiting w
  set claimed_by = null, claim_expires_at = null
  where w.task_id = release_task_claim.task_id and w.claimed_by = release_task_claim.orchestrator_id;
  perform tasker._wake();
  return true;
end $$;
comment on function tasker.release_task_claim is
  'Gives a task claimed with claim_ready_tasks() back. Returns false when this orchestrator does not hold it (any more).';
