-- Those of a namespace's own queues that are not empty, and how many messages each holds. A queue of somebody else that
-- happens to be called {namespace}_events is left alone.
create or replace function tasker._leftovers(namespace text)
returns table (queue_name text, messages bigint)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
begin
  for queue_name in
    select q.name
    from unnest(array[_leftovers.namespace || '_queue', _leftovers.namespace || '_events']) q(name)
    join pg_class c on c.oid = to_regclass(format('pgmq.%I', 'q_' || q.name))
    where pg_get_userbyid(c.relowner) = 'tasker_owner'
  loop
    execute format('select count(*) from pgmq.%I', 'q_' || queue_name) into messages;
    if messages > 0 then
      return next;
    end if;
  end loop;
end $$;
