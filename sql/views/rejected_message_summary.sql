create view tasker.rejected_message_summary as
select
  r.queue_name,
  count(*) as messages,
  min(r.rejected_at) as oldest_at,
  max(r.rejected_at) as newest_at,
  now.at - min(r.rejected_at) as oldest_age
from (select tasker.clock() as at) now
cross join tasker.rejected_messages r
group by r.queue_name, now.at;
comment on view tasker.rejected_message_summary is
  'Messages that could not be used, by the queue that they came from. Cost grows with their number: requeue_rejected_message() and discard_rejected_message() remove them.';
comment on column tasker.rejected_message_summary.queue_name is 'Queue from which they were taken.';
comment on column tasker.rejected_message_summary.messages is 'How many there are.';
comment on column tasker.rejected_message_summary.oldest_at is 'When the oldest was rejected.';
comment on column tasker.rejected_message_summary.newest_at is 'When the newest was rejected.';
comment on column tasker.rejected_message_summary.oldest_age is 'How long ago the oldest was rejected.';
