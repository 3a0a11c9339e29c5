-- The messages of ready steps of one namespace, with what enqueueing needs to know beside them. Steps that are not to
-- be tried any more (their task has stopped) are left out.
create or replace function tasker._step_messages(namespace tasker.namespaces, step_ids bigint[], at timestamptz)
returns table (n bigint, step_id bigint, state text, timeout integer, message jsonb)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  default_timeout constant integer := tasker._setting('step_timeout')::integer;
  max_bytes       constant integer := tasker._setting('max_message_bytes')::integer;
begin
  return query
  select r.n, r.step_id, r.state, r.timeout,
    jsonb_build_object(
      'step_id', r.step_id,
      'task_id', r.task_id,
      'namespace', namespace.name,
      'task_name', r.task_name,
      'task_version', r.version,
      'step_name', r.name,
      'attempt', r.attempts + 1,
      'step_payload', jsonb_build_object(
        'step_context', jsonb_build_object('handler', r.handler, 'inputs', '{}'::jsonb),
        'task_context', r.context),
      'execution_context', jsonb_build_object(
        'task', jsonb_build_object('task_id', r.task_id, 'tags', r.tags, 'initiator', r.initiator),
        'sequence', case when f.omitted then tasker._without_results(q.entries) else coalesce(q.entries, '[]') end,
        'step', jsonb_build_object('step_id', r.step_id, 'name', r.name, 'type', r.type))
        || case when f.omitted then '{"results_omitted": true}' else '{}' end::jsonb,
      'metadata', jsonb_build_object(
        'enqueued_at', at,
        'retry_count', r.attempts,
        'max_retries', r.max_attempts - 1,
        'timeout_seconds', r.timeout,
        'correlation_id', r.correlation_id,
        'priority', r.priority))
  from (
    select i.n, s.step_id, s.task_id, s.state, s.attempts, s.max_attempts, ts.name, ts.type, ts.handler, ts.step_index,
      ts.parent_count, coalesce(ts.timeout_seconds, default_timeout) as timeout, t.template_id, t.context, t.tags,
      t.initiator, t.correlation_id, t.priority, tt.name as task_name, tt.version
    from unnest(_step_messages.step_ids) with ordinality i(step_id, n)
    join tasker.steps s on s.step_id = i.step_id
    join tasker.tasks t on t.task_id = s.task_id
    join tasker.template_steps ts on ts.template_step_id = s.template_step_id
    join tasker.task_templates tt on tt.template_id = t.template_id
    where s.state in ('pending', 'waiting_for_retry') and t.state = 'in_progress' and t.stopping is null
  ) r
  -- A subquery in line: as a function of its own this costs 10 us more a step.
  left join lateral (
    select jsonb_agg(jsonb_build_object('step_id', p.step_id, 'step_name', ps.name, 'results', p.results) order by d.parent_index) as entries
    from tasker.template_dependencies d
    join tasker.steps p on p.step_id = (r.task_id << 16) + 1 + d.parent_index
    join tasker.template_steps ps on ps.template_step_id = p.template_step_id
    where d.template_id = r.template_id and d.child_index = r.step_index
  ) q on r.parent_count > 0
  -- Fresh from jsonb_agg the datum is neither compressed nor toasted: this is its real size.
  cross join lateral (select pg_column_size(q.entries) > max_bytes as omitted) f;
end $$;
