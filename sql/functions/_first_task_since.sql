-- A task id before which no task was created at or after `since`, close to the first that was: one beyond the last task
-- when none was. 22004 when since is NULL.
--
-- Ids are in the order of creation but for callers that draw them side by side, which a minute more than makes up for;
-- the caller filters by created_at what is read too much. A search over the primary key by halves, so that no index
-- need stand on created_at or finished_at: 17 look-ups, 0.3 ms in all, among 100,000 tasks, 10 more for a thousand times
-- as many.
create or replace function tasker._first_task_since(since timestamptz)
returns bigint
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  target constant timestamptz := _first_task_since.since - interval '1 minute';
  low    bigint;
  high   bigint;
  middle bigint;
  probe  record;
begin
  if _first_task_since.since is null then
    raise exception using
      errcode = 'null_value_not_allowed',
      message = 'since must not be NULL',
      hint = 'Pass -infinity to read all history.';
  end if;

  -- What is sought is in [low, high].
  select coalesce(min(t.task_id), 0), coalesce(max(t.task_id), -1) + 1 into low, high from tasker.tasks t;
  while low < high loop
    middle := low + (high - low) / 2;
    select t.task_id, t.created_at into probe
    from tasker.tasks t
    where t.task_id >= middle
    order by t.task_id
    limit 1;
    if probe.created_at < target then
      low := probe.task_id + 1;
    else
      high := middle;
    end if;
  end loop;
  return low;
end $$;
