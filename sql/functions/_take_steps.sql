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
  queue_name    constant text := _take_steps.namespace || '_queue';
  at            constant timestamptz := tasker.clock();
  lease_seconds constant double precision := extract(epoch from _take_steps.lease);
  look          record;
  taken         record;
  after         bigint;
  removed       integer;
  written       boolean;
begin
  loop
    look := tasker._look(queue_name, _take_steps.qty, after => after,
      task_names => _take_steps.task_names, step_names => _take_steps.step_names);
    exit when look.msg_ids is null;
    after := look.msg_ids[cardinality(look.msg_ids)];

    taken := tasker._hold_messages(look.messages, lease_seconds);
    if cardinality(taken.held) is distinct from cardinality(look.msg_ids) then
      perform tasker._reject_useless(queue_name, look.msg_ids, look.messages, at);
    end if;
    if taken.held is not null then
      removed := tasker._remove_messages(queue_name, look.msg_ids, taken.held);
    end if;
    continue when taken.current is null;

    written := tasker._write_started(taken.step_ids, at, _take_steps.worker_id);
    written := tasker._write_step_transitions(taken.step_ids, at, taken.attempts,
      array_fill('enqueued'::text, array[cardinality(taken.step_ids)]), 'in_progress',
      case when _take_steps.worker_id is not null
        then array_fill(jsonb_build_object('worker_id', _take_steps.worker_id), array[cardinality(taken.step_ids)]) end);
    written := tasker._write_timers('lease', taken.step_ids, taken.attempts, taken.leases, at);

    return query
    select look.msg_ids[i.n], i.step_id, i.step_id >> 16, i.attempt, i.message
    from unnest(taken.current, taken.step_ids, taken.attempts, taken.current_messages) i(n, step_id, attempt, message)
    order by i.n;
    exit;
  end loop;
end $$;
