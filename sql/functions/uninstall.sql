-- Runs as whoever calls it, unlike all others: only a superuser can drop an extension and roles. It goes on after it has
-- dropped the extension, and so itself; from there on it may use nothing of ours.
create or replace function tasker.uninstall(force boolean default false)
returns table (object text, outcome text, detail text)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  role_names constant text[] := tasker._role_names();
  unfinished bigint;
  name       text;
begin
  perform tasker._need_read_committed('uninstall');
  -- Before everything is locked, as most who are refused are refused at once; and then, when nobody can request any more.
  for look in 1 .. 2 loop
    select count(*) into unfinished from tasker.tasks t where t.finished_at is null;
    if unfinished > 0 and uninstall.force is not true then
      raise exception using
        errcode = 'object_in_use',
        message = format('%s tasks are unfinished', unfinished),
        hint = 'Let them end or cancel them, or pass force => true, which deletes them. Nothing has been removed.';
    end if;
    if look = 1 then
      perform tasker._lock_all();
    end if;
  end loop;

  for name in select n.name from tasker.namespaces n order by n.name loop
    perform tasker.drop_namespace(name, force => true);
    object := 'namespace ' || name; outcome := 'dropped'; detail := 'with its queues, templates, tasks and history';
    return next;
  end loop;
  for name in
    select q.queue_name
    from pgmq.meta q
    join pg_class c on c.relname = 'q_' || q.queue_name and c.relnamespace = 'pgmq'::regnamespace
    where c.relowner = 'tasker_owner'::regrole
    order by q.queue_name
  loop
    perform pgmq.drop_queue(name);
    object := 'queue ' || name; outcome := 'dropped'; detail := null;
    return next;
  end loop;
  perform tasker._revoke_all();

  drop extension tasker_pg;
  object := 'extension tasker_pg'; outcome := 'dropped'; detail := null;
  return next;

  revoke all on pgmq.meta from tasker_owner;
  revoke all on schema pgmq from tasker_owner, tasker_admin, tasker_requester, tasker_worker;
  foreach name in array array['schema tasker'] || array(select 'role ' || quote_ident(r) from unnest(role_names) r) loop
    object := name; outcome := 'dropped'; detail := null;
    -- From version 17 on, what the extension's script granted keeps a role even when it has been revoked.
    if name like 'role %' and not exists (
      select from pg_shdepend d
      where d.refclassid = 'pg_authid'::regclass and d.refobjid = substr(name, 6)::regrole and d.deptype <> 'i'
        and d.dbid in (0, (select b.oid from pg_database b where b.datname = current_database())))
    then
      execute 'drop owned by ' || substr(name, 6);
    end if;
    begin
      execute 'drop ' || name;
    exception when dependent_objects_still_exist or object_in_use then
      get stacked diagnostics detail = pg_exception_detail;
      outcome := 'kept';
      detail := coalesce(nullif(detail, ''), sqlerrm);
      raise notice using message = format('%s is kept: others depend on it', name), detail = detail;
    end;
    return next;
  end loop;
end $$;
comment on function tasker.uninstall is
  'Removes everything that CREATE EXTENSION and the work since have made in this database, what DROP EXTENSION leaves included: namespaces with their tasks, queues with their messages, limited rights, the extension, its schema, and the roles where nothing else needs them (they belong to the whole server: another database may have the extension too). Returns a row for each, dropped or kept and why; a notice says what is kept. For superusers. Waits for open transactions, and others wait behind it. Raises 25000 above isolation level read committed, 55006 while tasks are unfinished, unless force is given; 2BP01 when objects of yours depend on the extension. All or nothing.';
