-- Locks the first messages of a queue that nobody has locked; with `after` only those behind the one with that id. Without
-- it a look begins at the queue's mark, where it has one.
create or replace function tasker._look(
  queue_name text, qty integer, after bigint, task_names text[], step_names text[],
  out msg_ids bigint[], out messages jsonb[])
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  query  constant text := format(
    $sql$
      select array_agg(q.msg_id), array_agg(q.message)
      from (
        select q.msg_id, q.message
        from pgmq.%I q
        where q.vt <= clock_timestamp() and q.msg_id > $2 and q.msg_id <= $3 %s %s
        order by q.msg_id
        limit $1
        for update skip locked) q
    $sql$, 'q_' || queue_name,
    case when task_names is not null then 'and q.message ->> ''task_name'' = any($4)' end,
    case when step_names is not null then 'and q.message ->> ''step_name'' = any($5)' end);
  filter constant text := tasker._look_filter(task_names, step_names);
  look   record;
begin
  if _look.after is not null then
    execute query into msg_ids, messages using qty, _look.after, 9223372036854775807, task_names, step_names;
    return;
  end if;
  loop
    select * into look from tasker._begin_look(queue_name, filter);
    execute query into msg_ids, messages using qty, look.after, look.upto, task_names, step_names;
    perform tasker._end_look(msg_ids[1], msg_ids[cardinality(msg_ids)]);
    exit when msg_ids is not null or not look.again;
  end loop;
end $$;
