create view tasker.dead_letter_summary as
select
  d.reason,
  count(*) as open,
  min(d.created_at) as oldest_at,
  max(d.created_at) as newest_at,
  now.at - min(d.created_at) as oldest_age,
  now.at - max(d.created_at) as newest_age
from (select tasker.clock() as at) now
cross join tasker.dead_letters d
where d.resolved_at is null
group by d.reason, now.at;
comment on view tasker.dead_letter_summary is
  'Open dead letters by reason; a reason without any has no row. Reads the index of the open ones: cost grows with these alone, not with those resolved.';
comment on column tasker.dead_letter_summary.reason is 'retries_exhausted: a step failed as often as it may be tried; not_retryable: a step failed for good; deadline: a task ran longer than its template allows; stuck: a task made no progress for longer than it allows.';
comment on column tasker.dead_letter_summary.open is 'Dead letters that nobody has resolved.';
comment on column tasker.dead_letter_summary.oldest_at is 'When the oldest of them came up.';
comment on column tasker.dead_letter_summary.newest_at is 'When the newest of them came up.';
comment on column tasker.dead_letter_summary.oldest_age is 'How long the oldest has been open.';
comment on column tasker.dead_letter_summary.newest_age is 'How long the newest has been open.';
