-- Removes some tasks that have been over for longer than tasker.retention, with their steps and history. Walks over the
-- tasks by their ids, a page each idle pass: ids are in the order of creation, so that a page of younger tasks ends the
-- walk. Nothing is asked of the tasks that are busy, and no index must know when a task finished.
create or replace function tasker._remove_finished(pass tasker._pass, at timestamptz)
returns tasker._pass
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  page   constant integer := 200;
  limit_ constant timestamptz := at - make_interval(secs => tasker._setting('retention')::integer);
  mark   tasker.retention_mark;
  seen   bigint;
  done   boolean;
  gone   bigint[];
begin
  -- Without a lock first: an idle pass takes no transaction id.
  if exists (select from tasker.retention_mark m where m.rest_until > at) then
    return pass;
  end if;
  insert into tasker.retention_mark (last_task_id, rest_until)
  select 0, '-infinity'
  where not exists (select from tasker.retention_mark);
  select m.* into mark from tasker.retention_mark m for update skip locked;
  if mark.only_row is null then
    return pass;
  end if;

  select max(t.task_id), count(*) < page or count(*) filter (where t.created_at < limit_) = 0 into seen, done
  from (
    select t.task_id, t.created_at
    from tasker.tasks t
    where t.task_id > mark.last_task_id
    order by t.task_id
    limit page
  ) t;
  select array_agg(t.task_id) into gone
  from (
    select t.task_id
    from tasker.tasks t
    where t.task_id > mark.last_task_id and t.task_id <= seen and t.finished_at < limit_ and t.active_steps = 0
      and not exists (select from tasker.dead_letters d where d.task_id = t.task_id)
    order by t.task_id
    for update skip locked
  ) t;
  perform tasker._delete_tasks(gone);

  -- At the end it rests for a hundredth of the retention, at most an hour, and begins anew.
  update tasker.retention_mark m
  set last_task_id = case when done then 0 else seen end,
    rest_until = case when done then at + least((at - limit_) / 100, interval '1 hour') else '-infinity' end;
  pass.more := not done;
  return pass;
end $$;
