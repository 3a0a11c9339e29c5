-- The queues of a namespace that are not empty, and how many messages each holds.
create or replace function tasker._leftovers(namespace text)
returns table (queue_name text, messages bigint)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
begin
  foreach queue_name in array array[_leftovers.namespace || '_queue', _leftovers.namespace || '_events']
  loop
    continue when to_regclass(format('pgmq.%I', 'q_' || queue_name)) is null;
    execute format('select count(*) from pgmq.%I', 'q_' || queue_name) into messages;
    if messages > 0 then
      return next;
    end if;
  end loop;
end $$;
