-- Stores a compiled template with its steps and dependencies, or finds that it is there already.
create or replace function tasker._store_template(compiled jsonb)
returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  def      constant jsonb := compiled -> 'definition';
  names    constant text[] := array(
    select s.step ->> 'name' from jsonb_array_elements(def -> 'steps') with ordinality s(step, n) order by s.n);
  stuck    constant jsonb := case when def #>> '{lifecycle,staleness_action}' = 'none' then '{}' else def -> 'lifecycle' end;
  ns_id    bigint;
  existing record;
  id       bigint;
begin
  if tasker._is_limited('{author,worker}') then
    perform tasker._check_namespace('{author,worker}', def ->> 'namespace_name');
  end if;
  select n.namespace_id into ns_id from tasker.namespaces n where n.name = def ->> 'namespace_name';
  if ns_id is null then
    ns_id := tasker.create_namespace(def ->> 'namespace_name');
  end if;

  -- Most registrations find what an earlier start of the same worker left: no lock for them.
  for attempt in 1 .. 2 loop
    select tt.template_id, tt.checksum into existing
    from tasker.task_templates tt
    where tt.namespace_id = ns_id and tt.name = def ->> 'name' and tt.version = def ->> 'version';
    if found and existing.checksum = compiled ->> 'checksum' then
      return existing.template_id;
    elsif found then
      raise exception using
        errcode = 'duplicate_object',
        message = format('template %s/%s version %s exists with other content',
          def ->> 'namespace_name', def ->> 'name', def ->> 'version'),
        detail = 'Versions are immutable: tasks that run refer to them.',
        hint = 'Give the new content a new version.';
    end if;
    perform pg_advisory_xact_lock(tasker._lock_key('template', format('%s/%s/%s', ns_id, def ->> 'name', def ->> 'version')));
  end loop;

  if def #> '{events,task}' <> '[]' or def #> '{events,step}' <> '[]' then
    if tasker._ensure_queue((def ->> 'namespace_name') || '_events',
      tasker._queue_right('take') || ' on {queue} to tasker_worker, tasker_requester') then
      perform tasker._regrant(def ->> 'namespace_name');
    end if;
  end if;
  insert into tasker.task_templates (namespace_id, namespace, name, version, version_key, definition, checksum, identity_strategy,
    on_failure, input_schema, default_context, max_in_flight, max_duration,
    max_waiting_for_dependencies, max_waiting_for_retry, max_steps_in_process, fails_when_stuck,
    task_events, step_events, step_count, created_at, created_by)
  values (ns_id, def ->> 'namespace_name', def ->> 'name', def ->> 'version', compiled ->> 'version_key', def,
    compiled ->> 'checksum', def ->> 'identity_strategy', def ->> 'on_failure', nullif(def -> 'input_schema', 'null'), def -> 'default_context',
    (def #>> '{limits,max_in_flight}')::integer,
    make_interval(mins => (def #>> '{lifecycle,max_duration_minutes}')::integer),
    make_interval(mins => (stuck ->> 'max_waiting_for_dependencies_minutes')::integer),
    make_interval(mins => (stuck ->> 'max_waiting_for_retry_minutes')::integer),
    make_interval(mins => (stuck ->> 'max_steps_in_process_minutes')::integer),
    coalesce(stuck ->> 'staleness_action' = 'error', false) or coalesce((stuck ->> 'auto_fail_on_timeout')::boolean, false),
    tasker._text_array(def #> '{events,task}'), tasker._text_array(def #> '{events,step}'),
    jsonb_array_length(def -> 'steps'), tasker.clock(), session_user)
  returning template_id into id;

  insert into tasker.template_steps (template_id, step_index, name, type, handler, retryable, max_attempts, backoff,
    backoff_base_ms, max_backoff_ms, timeout_seconds, skippable, parent_count, parent_indexes, parent_names, level,
    namespace, task_name, task_version)
  select id, c.n - 1, s.step ->> 'name', s.step ->> 'type', s.step -> 'handler', (s.step #>> '{retry,retryable}')::boolean,
    greatest((s.step #>> '{retry,max_attempts}')::integer, 1), s.step #>> '{retry,backoff}',
    (s.step #>> '{retry,backoff_base_ms}')::bigint, (s.step #>> '{retry,max_backoff_ms}')::bigint,
    (s.step ->> 'timeout_seconds')::integer, (s.step ->> 'skippable')::boolean,
    cardinality(p.indexes), p.indexes, p.names, (c.step ->> 'level')::integer,
    def ->> 'namespace_name', def ->> 'name', def ->> 'version'
  from jsonb_array_elements(def -> 'steps') with ordinality s(step, n)
  join jsonb_array_elements(compiled #> '{compiled,steps}') with ordinality c(step, n) on c.n = s.n
  cross join lateral (
    select coalesce(array_agg(p.parent order by p.parent), '{}') as indexes,
      coalesce(array_agg(names[p.parent + 1] order by p.parent), '{}') as names
    from (select p.parent::integer from jsonb_array_elements_text(c.step -> 'parents') p(parent)) p
  ) p;

  insert into tasker.template_dependencies (template_id, parent_index, child_index)
  select id, p.parent::integer, c.n - 1
  from jsonb_array_elements(compiled #> '{compiled,steps}') with ordinality c(step, n)
  cross join lateral jsonb_array_elements_text(c.step -> 'parents') p(parent);
  return id;
end $$;
