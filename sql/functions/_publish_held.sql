-- Publishes the events that were set aside, where nobody holds the queue as a whole any more; else it comes back 50 ms
-- later. With tasker.notify it tells those who LISTEN on {namespace}_events, once for each namespace that has published
-- since the last pass.
create or replace function tasker._publish_held(pass tasker._pass, at timestamptz)
returns tasker._pass
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  namespace record;
  messages  jsonb[];
begin
  for namespace in
    select n.namespace_id, n.name
    from tasker.namespaces n
    where n.namespace_id in (select h.namespace_id from tasker.held_events h)
    order by n.namespace_id
  loop
    if tasker._queue_is_held(namespace.name || '_events') then
      pass.next_due_at := least(pass.next_due_at, at + interval '50 milliseconds');
      continue;
    end if;
    with gone as (
      delete from tasker.held_events e
      where e.held_event_id in (
        select h.held_event_id from tasker.held_events h where h.namespace_id = namespace.namespace_id for update skip locked)
      returning e.held_event_id, e.message
    )
    select array_agg(g.message order by g.held_event_id) filter (where g.message is not null) into messages from gone g;
    if messages is not null and to_regclass(format('pgmq.%I', 'q_' || namespace.name || '_events')) is not null then
      perform tasker._send(namespace.name || '_events', messages);
    end if;
    if tasker._setting('notify') = 'on' then
      perform pg_notify(namespace.name || '_events', '');
    end if;
  end loop;
  return pass;
end $$;
