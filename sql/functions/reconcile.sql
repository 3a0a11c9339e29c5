create or replace function tasker.reconcile()
returns table (subject text, name text, repaired bigint)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  at        constant timestamptz := tasker.clock();
  namespace record;
  lost      record;
  step_ids  bigint[] := '{}';
begin
  perform tasker._ensure_queues();
  for namespace in select n.namespace_id, n.name from tasker.namespaces n order by n.namespace_id loop
    if to_regclass(format('pgmq.%I', 'q_' || namespace.name || '_queue')) is null then
      perform tasker.create_namespace(namespace.name);
      return query select 'queue made again', namespace.name || '_queue', 1::bigint;
    end if;
    update tasker.namespaces n set fault = null, fault_until = null
    where n.namespace_id = namespace.namespace_id and n.fault is not null;

    -- By the open tasks and not by timers: that of a reported attempt is gone once it has fired.
    with running as materialized (
      select s.step_id, s.task_id, s.attempts, s.msg_id, s.state, s.reported_at, s.reported_status
      from tasker.tasks t
      join tasker.steps s on s.step_id between t.task_id << 16 and (t.task_id << 16) + 65535
      where t.namespace_id = namespace.namespace_id and t.active_steps > 0 and s.state in ('enqueued', 'in_progress')
    ), unsettled as materialized (
      select q.message -> 'step_id' as step_id from pgmq.q_orchestration_step_results q
    )
    select array_agg(r.step_id order by r.step_id) filter (where r.reported_at is null and r.state = 'enqueued' and not exists (
          select from tasker._queued_messages(namespace.namespace_id, array[r.msg_id], array[r.step_id]))) as step_ids,
      array_agg(jsonb_build_object('step_id', r.step_id, 'attempt', r.attempts, 'status', r.reported_status, 'reported', true)
        order by r.step_id) filter (where r.reported_at is not null) as reports
    into lost
    from running r
    where to_jsonb(r.step_id) not in (select u.step_id from unsettled u where u.step_id is not null);

    if lost.reports is not null then
      perform pgmq.send_batch('orchestration_step_results', lost.reports);
      return query select 'reports sent again', namespace.name, cardinality(lost.reports)::bigint;
    end if;
    step_ids := step_ids || lost.step_ids;
  end loop;
  -- All of them at once: tasks are locked in one order of ids, whatever their namespaces.
  return query
  select 'steps enqueued again', n.name, count(*)
  from unnest(tasker._enqueue_again(step_ids, at)) i(step_id)
  join tasker.tasks t on t.task_id = i.step_id >> 16
  join tasker.namespaces n on n.namespace_id = t.namespace_id
  group by n.namespace_id, n.name
  order by n.namespace_id;
  perform tasker._wake();
end $$;
comment on function tasker.reconcile is
  'After somebody purged or dropped a queue: makes missing queues again, enqueues steps whose message is gone again (with the next attempt, without using up max_attempts; a plain worker that holds such a message reports late), and sends reports again that were lost on their way. Returns what was repaired.';
