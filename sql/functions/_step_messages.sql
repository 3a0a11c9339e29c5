-- The messages of ready steps of one namespace, in the order given, with what enqueueing needs to know beside them. Steps that are not to
-- be tried any more (their task has stopped) are left out.
--
-- _step_message lays a message out as jsonb, around context, handler and results as they are stored: 5 us a step with
-- one parent in batches of 500, and 75 with 100 parents, where text that is parsed took 10 and 210. Of the 5 the look-ups
-- take 3.
create or replace function tasker._step_messages(
  step_ids bigint[], at timestamptz,
  out sent_ids bigint[], out states text[], out attempts integer[], out templates bigint[],
  out timeouts double precision[], out messages jsonb[])
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  default_timeout constant integer := tasker._setting('step_timeout')::integer;
  max_bytes       constant integer := tasker._setting('max_message_bytes')::integer;
  at_text         constant text := to_json(at) #>> '{}';
begin
  select array_agg(m.step_id), array_agg(m.state), array_agg(m.attempt), array_agg(m.template_id), array_agg(m.timeout),
    array_agg(m.message)
  into sent_ids, states, _step_messages.attempts, templates, timeouts, messages
  from (
    select s.step_id, s.state, s.attempts + 1 as attempt, t.template_id, coalesce(ts.timeout_seconds, default_timeout) as timeout,
      tasker._step_message(s.step_id, s.task_id, s.attempts + 1, s.max_attempts, coalesce(ts.timeout_seconds, default_timeout),
        t.priority, t.correlation_id, at_text, ts.namespace, ts.task_name, ts.task_version, ts.name, ts.type, ts.handler,
        t.context, t.initiator, case when t.tags <> '{}' then to_jsonb(t.tags) end, ts.parent_indexes, ts.parent_names,
        case
          when ts.parent_count = 0 then null
          -- The frequent case needs no list to be taken apart and put together.
          when ts.parent_count = 1 then array[(
            select p.results from tasker.steps p where p.step_id = (s.task_id << 16) + 1 + ts.parent_indexes[1])]
          else array(
            select p.results
            from unnest(ts.parent_indexes) with ordinality d(parent_index, n)
            left join tasker.steps p on p.step_id = (s.task_id << 16) + 1 + d.parent_index
            order by d.n)
        end, max_bytes) as message
    from unnest(_step_messages.step_ids) with ordinality i(step_id, n)
    join tasker.steps s on s.step_id = i.step_id
    join tasker.tasks t on t.task_id = s.task_id
    join tasker.template_steps ts on ts.template_step_id = s.template_step_id
    where s.state in ('pending', 'waiting_for_retry') and t.state = 'in_progress' and t.stopping is null
    order by i.n) m;
end $$;
