-- Takes attempts in flight whose messages are gone for untried: they are enqueued again at once with the next number.
-- Returns their steps.
create or replace function tasker._enqueue_again(step_ids bigint[], at timestamptz)
returns bigint[]
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
begin
  perform from tasker.tasks t
  where t.task_id = any(array(select distinct i >> 16 from unnest(_enqueue_again.step_ids) i))
  order by t.task_id
  for no key update;
  return tasker._hand_back(_enqueue_again.step_ids, null, 'enqueued', 'reconciled', at);
end $$;
