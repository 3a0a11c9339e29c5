-- The parts of a step message that are the same for all tasks, as JSON text for _step_messages.
create or replace function tasker._message_heads(definition jsonb, step jsonb, out message_head text, out message_step text)
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
  select
    format(',"namespace":%s,"task_name":%s,"task_version":%s,"step_name":%s,"step_payload":{"step_context":{"handler":%s,"inputs":{}},"task_context":',
      definition -> 'namespace_name', definition -> 'name', definition -> 'version', step -> 'name', step -> 'handler'),
    format('},"execution_context":{"step":{"name":%s,"type":%s,"step_id":', step -> 'name', step -> 'type');
$$;
