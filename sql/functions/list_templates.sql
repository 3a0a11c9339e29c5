create or replace function tasker.list_templates(namespace text default null)
returns table (
  namespace   text,
  name        text,
  version     text,
  template_id bigint,
  step_count  integer,
  is_default  boolean,
  retired_at  timestamptz,
  created_at  timestamptz,
  description text
)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select
    n.name,
    tt.name,
    tt.version,
    tt.template_id,
    tt.step_count,
    tt.retired_at is null and row_number() over newest_first = 1,
    tt.retired_at,
    tt.created_at,
    tt.definition ->> 'description'
  from tasker.task_templates tt
  join tasker.namespaces n on n.namespace_id = tt.namespace_id
  cross join (select tasker._reach('{requester,author,monitor}') as namespaces offset 0) reach
  where (list_templates.namespace is null or n.name = list_templates.namespace)
    and (reach.namespaces is null or n.name = any(reach.namespaces))
  window newest_first as (partition by tt.namespace_id, tt.name order by tt.retired_at is not null, tt.version_key desc, tt.template_id desc)
  order by n.name, tt.name, tt.version_key desc, tt.template_id desc;
$$;
comment on function tasker.list_templates(text) is
  'The registered templates, of one namespace or of all (NULL), the newest version first. is_default marks the version that a request without one gets: the highest that is not retired.';
