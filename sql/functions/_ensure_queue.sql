-- A pgmq queue of ours, with storage settings that suit a queue: its rows live for milliseconds, and whoever reads
-- walks over the dead ones, so vacuum comes early, and does not rest between pages: with the server's rests queues grew to 7 GB
-- in seven minutes of some 13,000 steps a second, without to 2.5. Vacuum must not truncate: it would hold the queue as a whole for a moment, and what comes then
-- would have to wait.
-- Returns whether it was made. grants: what roles that speak plain pgmq need, with {queue} for its table.
create or replace function tasker._ensure_queue(queue_name text, grants text)
returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  owner name;
begin
  if to_regclass(format('pgmq.%I', 'q_' || _ensure_queue.queue_name)) is null then
    perform pgmq.create(_ensure_queue.queue_name);
    execute format(
      'alter table pgmq.%I set (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000, '
        'autovacuum_vacuum_insert_scale_factor = 1, autovacuum_vacuum_cost_delay = 0, vacuum_truncate = off)',
      'q_' || _ensure_queue.queue_name);
    execute format('grant %s', replace(_ensure_queue.grants, '{queue}', format('pgmq.%I', 'q_' || _ensure_queue.queue_name)));
    return true;
  end if;

  select pg_get_userbyid(c.relowner) into owner
  from pg_class c
  where c.oid = format('pgmq.%I', 'q_' || _ensure_queue.queue_name)::regclass;
  if owner <> 'tasker_owner' then
    raise exception using
      errcode = 'duplicate_object',
      message = format('queue "%s" exists already and is not ours', _ensure_queue.queue_name),
      detail = format('Its table belongs to role "%s", the queues of tasker_pg to "tasker_owner".', owner),
      hint = 'Choose another namespace name, or drop the queue with pgmq.drop_queue().';
  end if;
  return false;
end $$;
