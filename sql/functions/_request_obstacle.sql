-- Why no task can be made of a request whose fields are well-formed; NULL = nothing is in the way.
create or replace function tasker._request_obstacle(namespace text, name text, version text, request tasker._task_request)
returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  template record;
  faults   text;
begin
  if pg_column_size(request.context) > tasker._setting('max_payload_bytes')::integer then
    return format('the context has %s bytes, more than tasker.max_payload_bytes (%s)', pg_column_size(request.context),
      tasker._setting('max_payload_bytes'));
  elsif greatest(length(request.initiator), length(request.source_system), length(request.reason)) > 1024 then
    return 'initiator, source_system and reason have at most 1024 characters';
  elsif cardinality(request.bypass_steps) > 10000 then
    return format('there are %s bypass_steps, more than 10000', cardinality(request.bypass_steps));
  elsif cardinality(request.tags) > 0 then
    if cardinality(request.tags) > 100 then
      return format('there are %s tags, more than 100', cardinality(request.tags));
    elsif exists (select from unnest(request.tags) t where length(t) > 256) then
      return 'a tag has at most 256 characters';
    end if;
  end if;

  if request.template_id is null then
    return (select f.message || '; ' || f.hint
      from tasker._no_template(_request_obstacle.namespace, _request_obstacle.name, _request_obstacle.version) f);
  end if;
  if request.identity_strategy = 'caller_provided' and request.idempotency_key is null then
    return format('template %s needs an idempotency_key (its identity_strategy is caller_provided)',
      quote_ident(request.template_name));
  end if;
  if request.has_input_schema then
    select tt.name, tt.version, tt.input_schema, tt.checksum into template
    from tasker.task_templates tt
    where tt.template_id = request.template_id;
    select string_agg(case f.path when '' then '(root)' else f.path end || ': ' || f.message, '; ') into faults
    from tasker._context_faults(template.checksum, template.input_schema, request.context) f;
    if faults is not null then
      return format('the context does not fit the input_schema of %s %s: %s', quote_ident(template.name), template.version, faults);
    end if;
  end if;
  if request.bypass_steps <> '{}' then
    select string_agg(format('bypass_steps: step %L %s', b.step_name,
      case when ts.name is null then 'does not exist' else 'is not skippable' end), '; ') into faults
    from unnest(request.bypass_steps) b(step_name)
    left join tasker.template_steps ts on ts.template_id = request.template_id and ts.name = b.step_name
    where ts.skippable is not true;
    return faults;
  end if;
  return null;
end $$;
