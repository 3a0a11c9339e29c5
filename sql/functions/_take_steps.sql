-- One look of poll_steps. A message leaves the queue when its step is marked; one whose attempt is over, or reported by
-- a worker who left it there, is dropped; one whose step somebody has locked stays. Steps are locked in the order of
-- their ids and no task is. Returns nothing only when there is nothing: a look that met only messages of no use is
-- followed by one behind them.
create or replace function tasker._take_steps(
  namespace text, qty integer, lease interval, worker_id text, task_names text[], step_names text[])
returns table (msg_id bigint, step_id bigint, task_id bigint, attempt integer, message jsonb)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  queue_name      constant text := _take_steps.namespace || '_queue';
  at              constant timestamptz := tasker.clock();
  default_timeout constant integer := tasker._setting('step_timeout')::integer;
  lease_seconds   constant double precision := extract(epoch from _take_steps.lease);
  look            record;
  held            record;
  numbers         integer[];
  after           bigint;
begin
  loop
    look := tasker._look(queue_name, _take_steps.qty, after => after,
      task_names => _take_steps.task_names, step_names => _take_steps.step_names);
    exit when look.msg_ids is null;
    after := look.msg_ids[cardinality(look.msg_ids)];

    select array_agg(s.n) as all_ns, array_agg(s.n) filter (where s.current) as ns,
      array_agg(s.step_id) filter (where s.current) as step_ids, array_agg(s.attempt) filter (where s.current) as attempts,
      array_agg(s.lease) filter (where s.current) as leases, array_agg(s.message) filter (where s.current) as messages
    into held
    from (
      select r.n, r.step_id, r.attempt, r.message,
        r.attempt = s.attempts and s.state = 'enqueued' and s.reported_at is null as current,
        coalesce(lease_seconds, ts.timeout_seconds, default_timeout) as lease
      from tasker._read_step_messages(look.messages) r
      join tasker.steps s on s.step_id = r.step_id
      join tasker.template_steps ts on ts.template_step_id = s.template_step_id
      order by r.step_id
      for no key update of s skip locked
    ) s;

    if cardinality(held.all_ns) is distinct from cardinality(look.msg_ids) then
      perform tasker._reject_useless(queue_name, look.msg_ids, look.messages, at);
    end if;
    if held.all_ns is not null then
      perform tasker._remove_messages(queue_name, array(select look.msg_ids[i] from unnest(held.all_ns) i));
    end if;
    continue when held.ns is null;

    numbers := held.attempts; -- no column of steps is called so
    update tasker.steps s
    set state = 'in_progress', started_at = at, worker_id = _take_steps.worker_id
    from (select unnest(held.step_ids) as step_id offset 0) i
    where s.step_id = i.step_id;

    perform tasker._audit_steps(held.step_ids, at, numbers, array_fill('enqueued'::text, array[cardinality(held.step_ids)]), 'in_progress',
      case when _take_steps.worker_id is not null
        then array_fill(jsonb_build_object('worker_id', _take_steps.worker_id), array[cardinality(held.step_ids)]) end);

    perform tasker._time_attempts('lease', held.step_ids, numbers, held.leases, at);

    return query
    select look.msg_ids[i.n], i.step_id, i.step_id >> 16, i.attempt, i.message
    from unnest(held.ns, held.step_ids, numbers, held.messages) i(n, step_id, attempt, message)
    order by i.n;
    exit;
  end loop;
end $$;
