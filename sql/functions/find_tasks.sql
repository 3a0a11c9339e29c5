create or replace function tasker.find_tasks(
  correlation_id uuid default null,
  tag            text default null,
  namespace      text default null,
  name           text default null,
  state          text default null,
  since          timestamptz default null,
  max_rows       integer default 100
)
returns table (
  task_id               bigint,
  namespace             text,
  name                  text,
  version               text,
  state                 text,
  priority              smallint,
  correlation_id        uuid,
  parent_correlation_id uuid,
  initiator             text,
  source_system         text,
  reason                text,
  tags                  text[],
  created_at            timestamptz,
  started_at            timestamptz,
  finished_at           timestamptz
)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select
    t.task_id,
    n.name,
    tt.name,
    tt.version,
    t.state,
    t.priority,
    t.correlation_id,
    t.parent_correlation_id,
    t.initiator,
    t.source_system,
    t.reason,
    t.tags,
    t.created_at,
    t.started_at,
    t.finished_at
  from tasker._find_tasks(
    find_tasks.correlation_id,
    find_tasks.tag,
    find_tasks.namespace,
    find_tasks.name,
    find_tasks.state,
    find_tasks.since,
    find_tasks.max_rows) f(task_id)
  join tasker.tasks t on t.task_id = f.task_id
  join tasker.task_templates tt on tt.template_id = t.template_id
  join tasker.namespaces n on n.namespace_id = t.namespace_id
  order by t.task_id desc;
$$;
comment on function tasker.find_tasks(uuid, text, text, text, text, timestamptz, integer) is
  'Tasks that match everything that is given, newest first, at most max_rows (NULL = all). since: created at or after. By correlation_id it is an index scan; all else reads the tasks from the newest on until max_rows match. Error: 22023 for an unknown state or a negative max_rows.';
