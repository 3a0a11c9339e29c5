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
begin
  pass := tasker._accept_apart(pass, batch, at);
  pass := tasker._settle_apart(pass, batch, at);
  pass := tasker._fire_apart(pass, at);
  pass := tasker._claim_apart(pass, batch, at);
  pass := tasker._finish_apart(pass, at);
  return tasker._when_to_come_back(pass, at);
end $$;

-- The system's errors (transaction rollback, resources, limits, operator intervention, system, internal) and missing
-- rights are nobody's fault in particular: they reject nothing, the pass is tried again.
create or replace function tasker._is_of_the_system(state text)
returns boolean
language sql immutable parallel safe
return left(_is_of_the_system.state, 2) in ('40', '53', '55', '57', '58', 'XX') or _is_of_the_system.state = '42501';

create or replace function tasker._accept_apart(pass tasker._pass, batch integer, at timestamptz)
returns tasker._pass
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  message record;
begin
  for message in
    select q.msg_id from pgmq.q_orchestration_task_requests q where q.vt <= clock_timestamp() order by q.msg_id limit batch
  loop
    begin
      pass := tasker._accept(pass, 1, at, message.msg_id);
    exception when others then
      if tasker._is_of_the_system(sqlstate) then
        raise;
      end if;
      pass.rejected := pass.rejected
        + tasker._reject('orchestration_task_requests', array[message.msg_id], array[format('%s (%s)', sqlerrm, sqlstate)], at);
    end;
  end loop;
  return pass;
end $$;

create or replace function tasker._settle_apart(pass tasker._pass, batch integer, at timestamptz)
returns tasker._pass
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  message record;
begin
  for message in
    select q.msg_id, q.message from pgmq.q_orchestration_step_results q where q.vt <= clock_timestamp() order by q.msg_id limit batch
  loop
    begin
      pass := tasker._settle(pass, 1, at, message.msg_id);
    exception when others then
      if tasker._is_of_the_system(sqlstate) then
        raise;
      end if;
      pass.rejected := pass.rejected
        + tasker._reject('orchestration_step_results', array[message.msg_id], array[format('%s (%s)', sqlerrm, sqlstate)], at);
      perform tasker._forget_report(message.message, at);
    end;
  end loop;
  return pass;
end $$;

create or replace function tasker._fire_apart(pass tasker._pass, at timestamptz)
returns tasker._pass
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  timer record;
begin
  for timer in
    select t.timer_id from tasker.timers t where t.fire_at <= at order by t.fire_at limit 100
  loop
    begin
      pass := tasker._fire(pass, at, timer.timer_id);
    exception when others then
      if tasker._is_of_the_system(sqlstate) then
        raise;
      end if;
      raise warning using
        errcode = sqlstate,
        message = format('timer %s cannot be fired: %s', timer.timer_id, sqlerrm),
        hint = 'It is tried again in a minute. SELECT * FROM tasker.check() may say what is wrong.';
      update tasker.timers t set fire_at = at + interval '1 minute' where t.timer_id = timer.timer_id;
    end;
  end loop;
  return pass;
end $$;

create or replace function tasker._claim_apart(pass tasker._pass, batch integer, at timestamptz)
returns tasker._pass
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  namespace record;
begin
  -- Waiting rows survive a failure below, the list does not.
  perform tasker._park(pass.ready, at);
  pass.ready := '{}';
  for namespace in
    select n.namespace_id, n.name
    from tasker.namespaces n
    where exists (select from tasker.waiting w where w.namespace_id = n.namespace_id and w.claimed_by is null)
    order by n.namespace_id
  loop
    begin
      pass := tasker._claim_namespace(pass, namespace.namespace_id, null, batch, at);
    exception when others then
      if tasker._is_of_the_system(sqlstate) then
        raise;
      end if;
      if to_regclass(format('pgmq.%I', 'q_' || namespace.name || '_queue')) is null then
        raise warning using
          errcode = sqlstate,
          message = format('namespace "%s" cannot be enqueued to: %s', namespace.name, sqlerrm),
          hint = format('Its queue "%s_queue" is gone. SELECT tasker.create_namespace(%L) makes it again; tried again in a minute.',
            namespace.name, namespace.name);
        perform tasker._set_fault(namespace.namespace_id, sqlerrm, at + interval '1 minute');
      else
        pass := tasker._claim_by_task(pass, namespace.namespace_id, batch, at);
      end if;
    end;
  end loop;
  return pass;
end $$;

create or replace function tasker._claim_by_task(pass tasker._pass, namespace_id bigint, batch integer, at timestamptz)
returns tasker._pass
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  task record;
begin
  for task in
    select w.task_id
    from tasker.waiting w
    where w.namespace_id = _claim_by_task.namespace_id and w.claimed_by is null
    group by w.task_id
    order by max(tasker._computed_priority(w.priority, w.since, at)) desc, w.task_id
    limit batch
  loop
    begin
      pass := tasker._claim_namespace(pass, _claim_by_task.namespace_id, null, batch, at, task.task_id);
    exception when others then
      if tasker._is_of_the_system(sqlstate) then
        raise;
      end if;
      raise warning using
        errcode = sqlstate,
        message = format('task %s cannot be enqueued: %s', task.task_id, sqlerrm),
        hint = format('It is set aside for a minute. SELECT * FROM tasker.explain_task(%s) shows it.', task.task_id);
      update tasker.waiting w
      set claimed_by = 'set aside', claim_expires_at = at + interval '1 minute', fault = sqlerrm
      where w.ctid in (
        select l.ctid
        from tasker.waiting l
        where l.task_id = task.task_id and l.claimed_by is null
        for update skip locked);
      insert into tasker.timers (fire_at, kind, task_id) values (at + interval '1 minute', 'claim', task.task_id);
    end;
  end loop;
  return pass;
end $$;

create or replace function tasker._finish_apart(pass tasker._pass, at timestamptz)
returns tasker._pass
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  over bigint[] := pass.over;
  task bigint;
begin
  foreach task in array over loop
    begin
      pass.over := array[task];
      pass := tasker._finish(pass, at);
    exception when others then
      if tasker._is_of_the_system(sqlstate) then
        raise;
      end if;
      raise warning using
        errcode = sqlstate,
        message = format('task %s cannot be finished: %s', task, sqlerrm),
        hint = 'It is tried again in a minute.';
      insert into tasker.timers (fire_at, kind, task_id) values (at + interval '1 minute', 'finish', task);
    end;
  end loop;
  return pass;
end $$;
