-- A pass that failed, repeated in isolation by cause: accept and settle by message, fire by timer, enqueue by
-- namespace and then by task, finish by task. What fails alone is set aside with its error; the rest goes on.
create or replace function tasker._run_phases_apart(batch integer, at timestamptz)
returns tasker._pass
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  pass tasker._pass := tasker._new_pass();
  over bigint[];
  id   bigint;
begin
  for id in
    select q.msg_id from pgmq.q_orchestration_task_requests q where q.vt <= clock_timestamp() order by q.msg_id limit batch
  loop
    pass := tasker._run_alone(pass, 'request', id, batch, at);
  end loop;
  for id in
    select q.msg_id from pgmq.q_orchestration_step_results q where q.vt <= clock_timestamp() order by q.msg_id limit batch
  loop
    pass := tasker._run_alone(pass, 'result', id, batch, at);
  end loop;
  for id in select t.timer_id from tasker.timers t where t.fire_at <= at order by t.fire_at limit 100 loop
    pass := tasker._run_alone(pass, 'timer', id, batch, at);
  end loop;

  -- Waiting rows survive a failure below, the list does not. Two timers of one step have each named it.
  perform tasker._park(array(select distinct r.step_id from unnest(pass.ready) r(step_id)), at);
  pass.ready := '{}';
  for id in
    select n.namespace_id
    from tasker.namespaces n
    where exists (select from tasker.waiting w where w.namespace_id = n.namespace_id and w.claimed_by is null)
    order by n.namespace_id
  loop
    pass := tasker._run_alone(pass, 'namespace', id, batch, at);
  end loop;

  over := pass.over;
  foreach id in array over loop
    pass := tasker._run_alone(pass, 'end', id, batch, at);
  end loop;
  if tasker._any_held_events() then
    pass := tasker._publish_held(pass, at);
  end if;
  return tasker._when_to_come_back(pass, at);
end $$;

-- The system's errors (transaction state, transaction rollback, resources, limits, operator intervention, system, internal)
-- and missing rights are nobody's fault in particular: they reject nothing, the pass is tried again. The first are those of a
-- standby, and of a transaction that is read only.
create or replace function tasker._is_of_the_system(state text)
returns boolean
language sql immutable parallel safe
return left(_is_of_the_system.state, 2) in ('25', '40', '53', '55', '57', '58', 'XX') or _is_of_the_system.state = '42501';

-- The part of a phase that concerns one subject: a request or a result (id: its message), a timer, a namespace to
-- enqueue into, a task to enqueue, the end of a task. When that fails, the subject is set aside.
create or replace function tasker._run_alone(pass tasker._pass, subject text, id bigint, batch integer, at timestamptz)
returns tasker._pass
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
begin
  case subject
    when 'request' then pass := tasker._accept(pass, 1, at, id);
    when 'result' then pass := tasker._settle(pass, 1, at, id);
    when 'timer' then pass := tasker._fire(pass, at, id);
    when 'namespace' then pass := tasker._claim_namespace(pass, id, null, batch, at);
    when 'task' then
      pass := tasker._claim_namespace(pass, (select t.namespace_id from tasker.tasks t where t.task_id = id), null, batch, at, id);
    when 'end' then
      pass.over := array[id];
      pass := tasker._finish(pass, at);
  end case;
  return pass;
exception when others then
  if tasker._is_of_the_system(sqlstate) then
    raise;
  end if;
  return tasker._set_aside(pass, subject, id, batch, at, sqlstate, sqlerrm);
end $$;

-- What becomes of a subject of _run_alone that failed. Its locks went with the failure, and somebody else may have it by
-- now: then it is left as it is, and nobody waits.
create or replace function tasker._set_aside(
  pass tasker._pass, subject text, id bigint, batch integer, at timestamptz, state text, message text)
returns tasker._pass
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  later     constant timestamptz := at + interval '1 minute';
  reason    constant text := format('%s (%s)', _set_aside.message, _set_aside.state);
  report    jsonb;
  namespace text;
  task_id   bigint;
begin
  case subject
    when 'request' then
      pass.rejected := pass.rejected + tasker._reject('orchestration_task_requests', array[id], array[reason], at);
    when 'result' then
      select q.message into report from pgmq.q_orchestration_step_results q where q.msg_id = id for update skip locked;
      if found then
        pass.rejected := pass.rejected + tasker._reject('orchestration_step_results', array[id], array[reason], at);
        perform tasker._forget_report(report, at);
      end if;
    when 'timer' then
      raise warning using
        errcode = _set_aside.state,
        message = format('timer %s cannot be fired: %s', id, _set_aside.message),
        hint = 'It is tried again in a minute. SELECT * FROM tasker.check() may say what is wrong.';
      update tasker.timers t
      set fire_at = later
      where t.timer_id = (select l.timer_id from tasker.timers l where l.timer_id = id for update skip locked);
    when 'namespace' then
      select n.name into namespace from tasker.namespaces n where n.namespace_id = id;
      if to_regclass(format('pgmq.%I', 'q_' || namespace || '_queue')) is null then
        raise warning using
          errcode = _set_aside.state,
          message = format('namespace "%s" cannot be enqueued to: %s', namespace, _set_aside.message),
          hint = format('Its queue "%s_queue" is gone. SELECT tasker.create_namespace(%L) makes it again; tried again in a minute.',
            namespace, namespace);
        perform tasker._set_fault(id, _set_aside.message, later);
      else
        for task_id in
          select w.task_id
          from tasker.waiting w
          where w.namespace_id = id and w.claimed_by is null
          group by w.task_id
          order by max(tasker._computed_priority(w.priority, w.since, at)) desc, w.task_id
          limit batch
        loop
          pass := tasker._run_alone(pass, 'task', task_id, batch, at);
        end loop;
      end if;
    when 'task' then
      -- More than one statement can hold, as many steps with a large context are: some of it, the rest waits.
      if _set_aside.state = '54000' and batch > 1 then
        return tasker._run_alone(pass, 'task', id, greatest(batch / 8, 1), at);
      end if;
      raise warning using
        errcode = _set_aside.state,
        message = format('task %s cannot be enqueued: %s', id, _set_aside.message),
        hint = format('It is set aside for a minute. SELECT * FROM tasker.explain_task(%s) shows it.', id);
      update tasker.waiting w
      set claimed_by = 'set aside', claim_expires_at = later, fault = _set_aside.message
      where w.ctid in (
        select l.ctid
        from tasker.waiting l
        where l.task_id = id and l.claimed_by is null
        for update skip locked);
      insert into tasker.timers (fire_at, kind, task_id) values (later, 'claim', id);
    when 'end' then
      raise warning using
        errcode = _set_aside.state,
        message = format('task %s cannot be finished: %s', id, _set_aside.message),
        hint = 'It is tried again in a minute.';
      insert into tasker.timers (fire_at, kind, task_id) values (later, 'finish', id);
  end case;
  return pass;
end $$;
