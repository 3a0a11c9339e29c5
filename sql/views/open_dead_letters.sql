create view tasker.open_dead_letters as
select
  d.dead_letter_id,
  d.task_id,
  d.step_id,
  n.name as namespace,
  tt.name,
  tt.version,
  ts.name as step_name,
  d.reason,
  (d.snapshot ->> 'attempts')::integer as attempts,
  d.created_at,
  now.at - d.created_at as age
from (select tasker.clock() as at) now
cross join tasker.dead_letters d
join tasker.tasks t on t.task_id = d.task_id
join tasker.task_templates tt on tt.template_id = t.template_id
join tasker.namespaces n on n.namespace_id = t.namespace_id
left join tasker.template_steps ts
  on ts.template_id = t.template_id and ts.step_index = (d.step_id & 65535)::integer - 1
where d.resolved_at is null;
comment on view tasker.open_dead_letters is
  'Dead letters that nobody has resolved, one row each, without the errors, which may hold data. Deal with them by retry_step(), resolve_step() or retry_task(), or note with resolve_dead_letter(dead_letter_id, ...) that it is done. Cost grows with the open ones alone.';
comment on column tasker.open_dead_letters.dead_letter_id is 'The dead letter, for resolve_dead_letter().';
comment on column tasker.open_dead_letters.task_id is 'The task.';
comment on column tasker.open_dead_letters.step_id is 'The step that failed; NULL for what is said of the whole task (deadline, stuck).';
comment on column tasker.open_dead_letters.namespace is 'Namespace of the template.';
comment on column tasker.open_dead_letters.name is 'Name of the template.';
comment on column tasker.open_dead_letters.version is 'Version of the template.';
comment on column tasker.open_dead_letters.step_name is 'Name of the step; NULL where step_id is.';
comment on column tasker.open_dead_letters.reason is 'retries_exhausted, not_retryable, deadline or stuck, as in dead_letter_summary.';
comment on column tasker.open_dead_letters.attempts is 'How often the step had been tried by then; NULL where step_id is.';
comment on column tasker.open_dead_letters.created_at is 'When it came up.';
comment on column tasker.open_dead_letters.age is 'How long it has been open.';
