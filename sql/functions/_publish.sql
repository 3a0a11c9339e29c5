-- Sends events to a namespace's event queue and, with tasker.notify, leaves a notice for the next pass: whoever publishes
-- here, a person or a worker, must not notify, for transactions that do commit one after the other. A queue that somebody
-- dropped takes no events: nobody is there to read them. While an open purge or drop holds it, they are set aside for a
-- later pass (_publish_held): the work must not stop for it, and what comes behind them keeps its place.
create or replace function tasker._publish(namespace_id bigint, namespace text, messages jsonb[])
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  queue_name constant text := _publish.namespace || '_events';
begin
  if tasker._queue_is_held(queue_name)
    or exists (select from tasker.held_events h where h.namespace_id = _publish.namespace_id and h.message is not null) then
    insert into tasker.held_events (namespace_id, message)
    select _publish.namespace_id, m.message
    from unnest(_publish.messages) with ordinality m(message, n)
    order by m.n;
    return;
  end if;
  if to_regclass(format('pgmq.%I', 'q_' || queue_name)) is not null then
    perform tasker._send(queue_name, _publish.messages);
  end if;
  if tasker._setting('notify') = 'on' then
    insert into tasker.held_events (namespace_id) values (_publish.namespace_id);
    perform tasker._wake();
  end if;
end $$;
