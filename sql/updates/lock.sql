-- Takes what an update or a drop of the extension needs for itself alone: views, tables, and the queues that wake us. Whoever
-- works has locked some of it, in an order of its own, and may want more: a deadlock then. So this steps back when there
-- is one, sooner than others look for it, and begins again; they notice nothing. Waits for open transactions, and others
-- wait behind it.
do $$
declare
  patience constant text := pg_catalog.current_setting('deadlock_timeout');
  view     regclass;
  tables   text;
begin
  select pg_catalog.string_agg(c.oid::regclass::text, ', ' order by c.relname <> 'identity', c.oid) into tables
  from pg_catalog.pg_class c
  where c.relkind = 'r'
    and (c.relnamespace = 'tasker'::regnamespace
      or exists (
        select
        from pg_catalog.pg_trigger t
        join pg_catalog.pg_proc p on p.oid = t.tgfoid
        where t.tgrelid = c.oid and p.pronamespace = 'tasker'::regnamespace));
  perform pg_catalog.set_config('deadlock_timeout', '100ms', true);
  for try in 1 .. 100 loop
    begin
      -- LOCK TABLE would lock what stands in the views, too: the server's catalogs.
      for view in
        select c.oid from pg_catalog.pg_class c where c.relnamespace = 'tasker'::regnamespace and c.relkind = 'v' order by c.oid
      loop
        execute pg_catalog.format('alter view %s owner to tasker_owner', view);
      end loop;
      execute pg_catalog.format('lock table %s in access exclusive mode', tables);
      exit;
    exception when deadlock_detected then
      if try = 100 then
        raise;
      end if;
      perform pg_catalog.pg_sleep(0.1);
    end;
  end loop;
  perform pg_catalog.set_config('deadlock_timeout', patience, true);
end $$;
