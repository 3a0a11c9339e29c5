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
  id       bigint;
  defaults jsonb;
  requests tasker._task_request[];
  fault    text;
begin
  if request_tasks.contexts is null or cardinality(request_tasks.contexts) = 0 then
    return;
  end if;
  if tasker._is_limited('{requester}') then
    perform tasker._check_namespace('{requester}', request_tasks.namespace);
  end if;
  perform tasker._check_request_arguments(request_tasks.contexts, request_tasks.priority, request_tasks.idempotency_keys,
    request_tasks.run_at, request_tasks.tags, request_tasks.bypass_steps, request_tasks.claim_timeout_seconds);
  perform tasker._keep_namespace(request_tasks.namespace);
  id := tasker._find_template(request_tasks.namespace, request_tasks.name, request_tasks.version);
  if id is null then
    perform tasker._raise_no_template(request_tasks.namespace, request_tasks.name, request_tasks.version);
  end if;
  select tt.default_context into defaults from tasker.task_templates tt where tt.template_id = id;

  select array_agg(
      row(id, defaults || c.context, request_tasks.idempotency_keys[c.n], request_tasks.priority, request_tasks.run_at,
        request_tasks.correlation_id, request_tasks.parent_correlation_id, request_tasks.initiator,
        request_tasks.source_system, request_tasks.reason, coalesce(request_tasks.tags, '{}'),
        coalesce(request_tasks.bypass_steps, '{}'), coalesce(request_tasks.claim_timeout_seconds, 60), null)::tasker._task_request
      order by c.n)
  into requests
  from unnest(request_tasks.contexts) with ordinality c(context, n);

  select tasker._request_obstacle(request_tasks.namespace, request_tasks.name, request_tasks.version, r.request)
    || case when cardinality(requests) > 1 then format(' (contexts[%s])', r.n) else '' end
  into fault
  -- Not by subscript: each would walk the array from its start.
  from (select r as request, row_number() over () as n from unnest(requests) r) r
  where tasker._request_obstacle(request_tasks.namespace, request_tasks.name, request_tasks.version, r.request) is not null
  order by r.n
  limit 1;
  if fault is not null then
    raise exception using errcode = 'invalid_parameter_value', message = fault,
      hint = format('SELECT tasker.get_template(%L, %L) shows what the template asks for.', request_tasks.namespace, request_tasks.name);
  end if;
  return query select t from unnest(tasker._create_tasks(requests, tasker.clock())) t;
end $$;
comment on function tasker.request_tasks is
  'Starts one task per context (at most 10,000 JSON objects, merged over the template''s default_context) in the caller''s transaction, and returns their ids in order. idempotency_keys: one per context, or NULL. version NULL = the highest that is not retired. priority 0 (background) to 4 (urgent). run_at: not before. correlation_id NULL = the parent_correlation_id if given, else a new uuid v7. bypass_steps: names of skippable steps to skip. Raises 42704 for an unknown namespace, template or version, 22023 for a context that does not fit the input_schema or another bad argument.';
