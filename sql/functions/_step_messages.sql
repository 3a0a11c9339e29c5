-- The messages of ready steps of one namespace, with what enqueueing needs to know beside them. Steps that are not to
-- be tried any more (their task has stopped) are left out.
--
-- A message is put together as text and parsed once, around parts that the template holds: 8 us in batches of 500, where
-- jsonb_build_object, which asks the catalog about each of its arguments for each row, took 18.
create or replace function tasker._step_messages(step_ids bigint[], at timestamptz)
returns table (n bigint, step_id bigint, state text, attempt integer, template_id bigint, timeout integer, message jsonb)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  default_timeout constant integer := tasker._setting('step_timeout')::integer;
  max_bytes       constant integer := tasker._setting('max_message_bytes')::integer;
  enqueued_at     constant text := to_json(at)::text;
begin
  return query
  select r.n, r.step_id, r.state, r.attempts + 1, r.template_id, r.timeout,
    concat('{"step_id":', r.step_id, ',"task_id":', r.task_id, ',"attempt":', r.attempts + 1,
      r.message_head, r.context,
      r.message_step, r.step_id, '},"task":{"task_id":', r.task_id,
      ',"initiator":', coalesce(to_json(r.initiator)::text, 'null'),
      ',"tags":', case when r.tags = '{}' then '[]' else to_json(r.tags)::text end,
      case when octet_length(q.entries) > max_bytes
        then '},"results_omitted":true,"sequence":[' || tasker._sequence_without_results(r.task_id, r.parent_indexes, r.parent_heads)
        else '},"sequence":[' || q.entries
      end,
      ']},"metadata":{"enqueued_at":', enqueued_at, ',"retry_count":', r.attempts, ',"max_retries":', r.max_attempts - 1,
      ',"timeout_seconds":', r.timeout, ',"correlation_id":"', r.correlation_id, '","priority":', r.priority, '}}')::jsonb
  from (
    select i.n, s.step_id, s.task_id, s.state, s.attempts, s.max_attempts, ts.parent_count, ts.parent_indexes,
      ts.parent_heads, ts.message_head, ts.message_step, coalesce(ts.timeout_seconds, default_timeout) as timeout,
      t.template_id, t.context, t.tags, t.initiator, t.correlation_id, t.priority
    from unnest(_step_messages.step_ids) with ordinality i(step_id, n)
    join tasker.steps s on s.step_id = i.step_id
    join tasker.tasks t on t.task_id = s.task_id
    join tasker.template_steps ts on ts.template_step_id = s.template_step_id
    where s.state in ('pending', 'waiting_for_retry') and t.state = 'in_progress' and t.stopping is null
  ) r
  cross join lateral (
    select case
      when r.parent_count = 0 then ''
      -- The frequent case needs no list to be taken apart and put together: 1.5 us a step.
      when r.parent_count = 1 then (
        select concat('{"step_id":', p.step_id, r.parent_heads[1], ',"results":', coalesce(p.results::text, 'null'), '}')
        from tasker.steps p
        where p.step_id = (r.task_id << 16) + 1 + r.parent_indexes[1])
      else (
        select string_agg(concat('{"step_id":', p.step_id, d.head, ',"results":', coalesce(p.results::text, 'null'), '}'), ',' order by d.n)
        from unnest(r.parent_indexes, r.parent_heads) with ordinality d(parent_index, head, n)
        join tasker.steps p on p.step_id = (r.task_id << 16) + 1 + d.parent_index)
      end as entries
    offset 0
  ) q;
end $$;
