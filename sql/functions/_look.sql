-- Locks the first messages of a queue that nobody has locked, behind the one with the id `after`.
create or replace function tasker._look(
  queue_name text, qty integer, after bigint, task_names text[], step_names text[],
  out msg_ids bigint[], out messages jsonb[])
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
begin
  execute format(
    $sql$
      select array_agg(q.msg_id), array_agg(q.message)
      from (
        select q.msg_id, q.message
        from pgmq.%I q
        where q.vt <= clock_timestamp() and q.msg_id > $2 %s %s
        order by q.msg_id
        limit $1
        for update skip locked) q
    $sql$, 'q_' || queue_name,
    case when task_names is not null then 'and q.message ->> ''task_name'' = any($3)' end,
    case when step_names is not null then 'and q.message ->> ''step_name'' = any($4)' end)
  into msg_ids, messages
  using qty, after, task_names, step_names;
end $$;
