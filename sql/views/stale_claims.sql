create view tasker.stale_claims as
select
  w.task_id,
  w.step_id,
  n.name as namespace,
  tt.name,
  w.claimed_by,
  w.claim_expires_at,
  now.at - w.claim_expires_at as overdue,
  w.fault
from (select tasker.clock() as at) now
join tasker.waiting w on w.claim_expires_at <= now.at
join tasker.namespaces n on n.namespace_id = w.namespace_id
join tasker.task_templates tt on tt.template_id = w.template_id
where w.claimed_by is not null
union all
-- A claim on a task of which nothing waits (any more).
select
  c.task_id,
  null,
  n.name,
  tt.name,
  c.claimed_by,
  c.expires_at,
  now.at - c.expires_at,
  null
from (select tasker.clock() as at) now
join tasker.claims c on c.expires_at <= now.at
join tasker.tasks t on t.task_id = c.task_id
join tasker.namespaces n on n.namespace_id = t.namespace_id
join tasker.task_templates tt on tt.template_id = t.template_id
where not exists (select from tasker.waiting w where w.task_id = c.task_id and w.claimed_by = c.claimed_by);
comment on view tasker.stale_claims is
  'Claims of orchestrators outside, and work set aside, that are beyond their time: the engine''s next pass gives them back (claims also the next claim_ready_tasks()). A row for each piece of work that waits under the claim, or one for the claim when nothing does.';
comment on column tasker.stale_claims.task_id is 'The task.';
comment on column tasker.stale_claims.step_id is 'The ready step; NULL for a task that has not started, and for a claim under which nothing waits.';
comment on column tasker.stale_claims.namespace is 'Namespace of the template.';
comment on column tasker.stale_claims.name is 'Name of the template.';
comment on column tasker.stale_claims.claimed_by is 'The orchestrator that holds it.';
comment on column tasker.stale_claims.claim_expires_at is 'When the claim ended.';
comment on column tasker.stale_claims.overdue is 'How long ago that was.';
comment on column tasker.stale_claims.fault is 'Why it was set aside; NULL for a claim.';
