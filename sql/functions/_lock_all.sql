-- Takes everything that uninstall removes for the caller's transaction alone, before the first of it is touched: the
-- namespaces' locks, views, tables, all queues. As sql/updates/lock.sql does, and why: whoever works has locked some of it, in
-- an order of its own, and may want more. What has been written cannot be stepped back from. Waits for open transactions.
create or replace function tasker._lock_all()
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  patience constant text := current_setting('deadlock_timeout');
  view     regclass;
  tables   text;
begin
  perform set_config('deadlock_timeout', '100ms', true);
  for try in 1 .. 100 loop
    begin
      -- First, as whoever requests a task holds one of them when it comes to the tables.
      perform pg_advisory_xact_lock(tasker._lock_key('requests', n.name))
      from (select n.name from tasker.namespaces n order by n.name) n;
      -- LOCK TABLE would lock what stands in the views, too: the server's catalogs.
      for view in
        select c.oid from pg_class c where c.relnamespace = 'tasker'::regnamespace and c.relkind = 'v' order by c.oid
      loop
        execute format('alter view %s owner to tasker_owner', view);
      end loop;
      select string_agg(c.oid::regclass::text, ', ' order by c.relname <> 'identity', c.oid) into tables
      from pg_class c
      where c.relkind = 'r'
        and (c.relnamespace = 'tasker'::regnamespace
          or c.relnamespace = 'pgmq'::regnamespace and c.relowner = 'tasker_owner'::regrole);
      execute format('lock table %s in access exclusive mode', tables);
      exit;
    exception when deadlock_detected or undefined_table then
      -- (or a queue that somebody has dropped meanwhile)
      if try = 100 then
        raise;
      end if;
      perform pg_sleep(0.1);
    end;
  end loop;
  perform set_config('deadlock_timeout', patience, true);
end $$;
