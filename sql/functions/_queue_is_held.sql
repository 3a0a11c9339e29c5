-- Whether somebody holds a namespace's queue as a whole: an open drop_namespace, purge or TRUNCATE. Otherwise the caller
-- has it locked against that until it commits. A queue that is gone is not held.
create or replace function tasker._queue_is_held(namespace text, suffix text default '_queue')
returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  queue_table constant text := format('pgmq.%I', 'q_' || _queue_is_held.namespace || _queue_is_held.suffix);
begin
  if to_regclass(queue_table) is null then
    return false;
  end if;
  begin
    execute format('lock table %s in row exclusive mode nowait', queue_table);
  exception
    when lock_not_available then return true;
    when undefined_table then return false;
  end;
  return false;
end $$;
