-- A task request message that _request_fault finds nothing wrong with, with its template looked up (template_id is NULL
-- when there is none) and the template's default_context under its context. Both forms, the nested one is the older.
create or replace function tasker._read_request(
  message jsonb, out namespace text, out name text, out version text, out request tasker._task_request)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  body     constant jsonb := coalesce(nullif(message -> 'task_request', 'null'), message);
  template record;
begin
  _read_request.namespace := body ->> 'namespace';
  _read_request.name := body ->> 'name';
  _read_request.version := body ->> 'version';
  select f.* into template
  from tasker._find_template(_read_request.namespace, _read_request.name, _read_request.version) f;
  request.template_id := template.template_id;
  request.namespace_id := template.namespace_id;
  request.template_name := template.template_name;
  request.identity_strategy := template.identity_strategy;
  request.has_input_schema := template.has_input_schema;
  request.context := template.default_context || (body -> 'context');
  request.idempotency_key := body ->> 'idempotency_key';
  request.priority := coalesce((body ->> 'priority')::smallint, 2);
  request.run_at := (body ->> 'run_at')::timestamptz;
  request.correlation_id := (body ->> 'correlation_id')::uuid;
  request.parent_correlation_id := (body ->> 'parent_correlation_id')::uuid;
  request.initiator := body ->> 'initiator';
  request.source_system := body ->> 'source_system';
  request.reason := body ->> 'reason';
  request.tags := tasker._text_array(body -> 'tags');
  request.bypass_steps := tasker._text_array(body -> 'bypass_steps');
  request.claim_timeout_seconds := coalesce((body ->> 'claim_timeout_seconds')::integer, 60);
  request.request_id := body ->> 'request_id';
end $$;
