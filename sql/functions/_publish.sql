-- Sends events to a namespace's event queue and, with tasker.notify, leaves a notice for the next pass: whoever publishes here,
-- a person or a worker, must not notify, for transactions that do commit one after the other. A queue that somebody dropped takes no
-- events: nobody is there to read them; nor one that an open purge or drop holds: the work must not stop for it.
create or replace function tasker._publish(namespace text, messages jsonb[])
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  queue_name constant text := _publish.namespace || '_events';
begin
  if tasker._queue_is_held(_publish.namespace, '_events') then
    raise warning using
      errcode = 'lock_not_available',
      message = format('%s events of namespace "%s" were not published: somebody holds queue "%s" as a whole',
        cardinality(_publish.messages), _publish.namespace, queue_name);
  elsif to_regclass(format('pgmq.%I', 'q_' || queue_name)) is not null then
    perform pgmq.send_batch(queue_name, _publish.messages);
  end if;
  if tasker._setting('notify') = 'on' then
    insert into tasker.notices (namespace) values (_publish.namespace);
    perform tasker._wake();
  end if;
end $$;
