create or replace function tasker.request_tasks(
  namespace text,
  name text,
  contexts jsonb[],
  version text default null,
  priority integer default 2,
  idempotency_keys text[] default null,
  run_at timestamptz default null,
  correlation_id uuid default null,
  parent_correlation_id uuid default null,
  initiator text default null,
  source_system text default null,
  reason text default null,
  tags text[] default '{}',
  bypass_steps text[] default '{}',
  claim_timeout_seconds integer default 60)
returns setof bigint
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  template record;
  requests tasker._task_request[];
  fault    text;
begin
  if request_tasks.contexts is null or cardinality(request_tasks.contexts) = 0 then
    return;
  end if;
  if tasker._is_limited('{requester}') then
    perform tasker._check_namespace('{requester}', request_tasks.namespace);
  end if;
  if cardinality(request_tasks.contexts) > 10000 then
    fault := format('there are %s contexts in one call, more than 10000', cardinality(request_tasks.contexts));
  elsif cardinality(request_tasks.idempotency_keys) <> cardinality(request_tasks.contexts) then
    fault := format('there are %s contexts and %s idempotency_keys', cardinality(request_tasks.contexts),
      cardinality(request_tasks.idempotency_keys));
  else
    select f.fault into fault
    from rows from (unnest(request_tasks.contexts), unnest(request_tasks.idempotency_keys)) with ordinality c(context, key, n),
      lateral tasker._argument_fault(c.context, c.key, request_tasks.priority, request_tasks.run_at, request_tasks.tags,
        request_tasks.bypass_steps, request_tasks.claim_timeout_seconds) f(fault)
    where f.fault is not null
    order by c.n
    limit 1;
  end if;
  if fault is not null then
    raise exception using errcode = 'invalid_parameter_value', message = fault;
  end if;
  perform tasker._keep_namespace(request_tasks.namespace);
  select f.* into template
  from tasker._find_template(request_tasks.namespace, request_tasks.name, request_tasks.version) f;
  if template.template_id is null then
    perform tasker._raise_no_template(request_tasks.namespace, request_tasks.name, request_tasks.version);
  end if;

  select array_agg(
      row(template.template_id, template.default_context || c.context, c.key, request_tasks.priority,
        request_tasks.run_at, request_tasks.correlation_id, request_tasks.parent_correlation_id,
        request_tasks.initiator, request_tasks.source_system, request_tasks.reason, coalesce(request_tasks.tags, '{}'),
        coalesce(request_tasks.bypass_steps, '{}'), coalesce(request_tasks.claim_timeout_seconds, 60), null,
        template.namespace_id, template.template_name, template.identity_strategy,
        template.has_input_schema)::tasker._task_request
      order by c.n)
  into requests
  from rows from (unnest(request_tasks.contexts), unnest(request_tasks.idempotency_keys)) with ordinality c(context, key, n);

  select o.obstacle || case when cardinality(requests) > 1 then format(' (contexts[%s])', o.n) else '' end into fault
  -- Not by subscript: each would walk the array from its start.
  from (
    select r.n, tasker._request_obstacle(request_tasks.namespace, request_tasks.name, request_tasks.version, r.request) as obstacle
    from (select r as request, row_number() over () as n from unnest(requests) r) r
    offset 0
  ) o
  where o.obstacle is not null
  order by o.n
  limit 1;
  if fault is not null then
    perform tasker._raise_obstacle(fault, request_tasks.namespace, request_tasks.name);
  end if;
  return query select t from unnest(tasker._create_tasks(requests, tasker.clock())) t;
end $$;
comment on function tasker.request_tasks is
  'Starts one task per context (at most 10,000 JSON objects, merged over the template''s default_context) in the caller''s transaction, and returns their ids in order. idempotency_keys: one per context, or NULL. version NULL = the highest that is not retired. priority 0 (background) to 4 (urgent). run_at: not before. correlation_id NULL = the parent_correlation_id if given, else a new uuid v7. bypass_steps: names of skippable steps to skip. Raises 42704 for an unknown namespace, template or version, 22023 for a context that does not fit the input_schema or another bad argument, 40001 above isolation level read committed when another transaction has requested the same under identity_strategy strict meanwhile.';
