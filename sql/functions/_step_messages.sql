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
  select i.n, s.step_id, s.state, x.timeout,
    jsonb_build_object(
      'step_id', s.step_id,
      'task_id', s.task_id,
      'namespace', namespace.name,
      'task_name', tt.name,
      'task_version', tt.version,
      'step_name', ts.name,
      'attempt', s.attempts + 1,
      'step_payload', jsonb_build_object(
        'step_context', jsonb_build_object('handler', ts.handler, 'inputs', '{}'::jsonb),
        'task_context', t.context),
      'execution_context', jsonb_build_object(
        'task', jsonb_build_object('task_id', s.task_id, 'tags', to_jsonb(t.tags), 'initiator', t.initiator),
        'sequence', coalesce(q.sequence, '[]'),
        'step', jsonb_build_object('step_id', s.step_id, 'name', ts.name, 'type', ts.type))
        || case when q.omitted then '{"results_omitted": true}' else '{}' end::jsonb,
      'metadata', jsonb_build_object(
        'enqueued_at', at,
        'retry_count', s.attempts,
        'max_retries', s.max_attempts - 1,
        'timeout_seconds', x.timeout,
        'correlation_id', t.correlation_id,
        'priority', t.priority))
  from unnest(_step_messages.step_ids) with ordinality i(step_id, n)
  join tasker.steps s on s.step_id = i.step_id
  join tasker.tasks t on t.task_id = s.task_id
  join tasker.template_steps ts on ts.template_step_id = s.template_step_id
  join tasker.task_templates tt on tt.template_id = t.template_id
  cross join lateral (select coalesce(ts.timeout_seconds, default_timeout) as timeout) x
  left join lateral tasker._sequence(t.task_id, t.template_id, ts.step_index, max_bytes) q on ts.parent_count > 0
  where s.state in ('pending', 'waiting_for_retry') and t.state = 'in_progress' and t.stopping is null;
end $$;
