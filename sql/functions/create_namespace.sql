create or replace function tasker.create_namespace(name text, description text default null, max_in_flight integer default -1)
returns bigint
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  id    bigint;
  first boolean;
  made  boolean;
begin
  perform tasker._check_namespace_name(create_namespace.name);
  perform tasker._check_length('description', create_namespace.description, 4096);
  if tasker._is_limited('{author,worker}') then
    perform tasker._check_namespace('{author,worker}', create_namespace.name);
  end if;
  if create_namespace.max_in_flight < 1 and create_namespace.max_in_flight <> -1 then
    raise exception using
      errcode = 'invalid_parameter_value',
      message = 'max_in_flight must be at least 1',
      detail = format('It is %s.', create_namespace.max_in_flight),
      hint = 'Pass NULL for no limit, or leave it out for tasker.max_in_flight.';
  end if;

  -- One creator of a name at a time: workers register their templates at start, many at once.
  perform pg_advisory_xact_lock(tasker._lock_key('create', create_namespace.name));
  first := tasker._take_identity();
  perform tasker._ensure_queues();
  insert into tasker.namespaces (name, description, max_in_flight, created_at)
  values (create_namespace.name, create_namespace.description,
    case when create_namespace.max_in_flight = -1 then tasker._setting('max_in_flight')::integer else create_namespace.max_in_flight end,
    tasker.clock())
  on conflict on constraint namespaces_name_is_unique do nothing
  returning namespace_id into id;
  -- Not before: the insertion waits for a drop that is open, which takes the queue with it.
  made := tasker._ensure_queue(create_namespace.name || '_queue', tasker._queue_right('take') || ' on {queue} to tasker_worker');
  -- What DROP EXTENSION left: ids begin anew, so old messages would be taken for those of new steps.
  if first then
    perform tasker._reject_leftovers('orchestration_step_results');
  end if;
  if id is not null and not made then
    perform tasker._reject_leftovers(create_namespace.name || '_queue');
  end if;
  if id is null then
    select n.namespace_id into id from tasker.namespaces n where n.name = create_namespace.name;
  end if;
  if made then
    -- pgmq's index by vt helps nobody who takes messages in the order of their ids, and costs each message an entry: 67 of 1,155
    -- bytes of write-ahead log.
    execute format('drop index if exists pgmq.%I', format('q_%s_queue_vt_idx', create_namespace.name));
    perform tasker._regrant(create_namespace.name);
  end if;
  perform tasker._wake();
  return id;
end $$;
comment on function tasker.create_namespace is
  'Creates a namespace with its queue {name}_queue and returns its id; an existing one is returned as it is, with its queue made again if it is gone. max_in_flight: how many steps may be in the queue or at workers at once; left out (-1) = the setting tasker.max_in_flight as of now, NULL = no limit. Raises 42602 for a bad name, 22023 for a description of more than 4,096 characters, 42710 when the queue exists and is not ours.';
