-- Tasks that have made no progress for longer than their template's lifecycle allows leave a dead letter, and are
-- stopped where it says so. Most have made some, and are looked at again without a lock.
create or replace function tasker._fire_stuck(pass tasker._pass, task_ids bigint[], at timestamptz)
returns tasker._pass
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  suspects bigint[];
  held     bigint[];
  failing  bigint[];
begin
  select array_agg(p.task_id) into suspects from tasker._progress(_fire_stuck.task_ids, at) p where p.stuck;
  select array_agg(t.task_id) into held
  from (
    select t.task_id
    from tasker.tasks t
    where t.task_id = any(suspects)
    order by t.task_id
    for no key update skip locked
  ) t;

  -- A new statement, hence a new snapshot: what they did until they were locked counts.
  with looked as materialized (
    select p.*, p.stuck and p.task_id in (select unnest(held)) as is_stuck
    from tasker._progress(_fire_stuck.task_ids, at) p
  ), buried as (
    insert into tasker.dead_letters (task_id, reason, snapshot, created_at)
    select l.task_id, 'stuck',
      jsonb_build_object('waiting_for', l.waiting_for, 'since', l.since,
        'threshold_minutes', extract(epoch from l.threshold)::integer / 60, 'active_steps', t.active_steps,
        'error_steps', t.error_steps, 'steps', tasker._unfinished_steps(l.task_id)), at
    from looked l
    join tasker.tasks t on t.task_id = l.task_id
    where l.is_stuck
      and not exists (
        select from tasker.dead_letters d where d.task_id = l.task_id and d.reason = 'stuck' and d.resolved_at is null)
  ), rearmed as (
    insert into tasker.timers (fire_at, kind, task_id)
    select case when l.stuck and not l.is_stuck then at + interval '50 milliseconds' else l.look_at end, 'stuck', l.task_id
    from looked l
    where not (l.is_stuck and l.fails_when_stuck)
  )
  select array_agg(l.task_id) filter (where l.stuck), array_agg(l.task_id) filter (where l.is_stuck and l.fails_when_stuck)
  into suspects, failing
  from looked l;

  perform tasker._close_stuck(array(select i from unnest(_fire_stuck.task_ids) i where i <> all(coalesce(suspects, '{}'))), at);
  if failing is not null then
    pass.over := pass.over || tasker._stop_tasks(failing, 'stuck: the task has made no progress for longer than its template allows', at);
  end if;
  return pass;
end $$;
