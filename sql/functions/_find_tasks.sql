-- Ids of the tasks that match everything that is not NULL, newest first; with unfinished only those that are not over, and none
-- out of the caller's reach. Error: 22023 for an unknown state or a
-- negative max_rows.
--
-- Planned anew for each call, so that only the conditions that were given remain.
create or replace function tasker._find_tasks(
  correlation_id uuid,
  tag            text,
  namespace      text,
  name           text,
  state          text,
  since          timestamptz,
  max_rows       integer,
  unfinished     boolean default false
)
returns setof bigint
language plpgsql stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_custom_plan
as $$
#variable_conflict error
declare
  reach  constant text[] := tasker._reach('{requester}');
  states constant text[] := '{pending,in_progress,complete,error,cancelled,resolved_manually}';
begin
  if _find_tasks.state <> all(states) then
    raise exception using
      errcode = 'invalid_parameter_value',
      message = format('"%s" is no state of a task', _find_tasks.state),
      hint = format('States: %s.', array_to_string(states, ', '));
  end if;
  perform tasker._check_most('max_rows', _find_tasks.max_rows);

  return query
  select t.task_id
  from tasker.tasks t
  join tasker.task_templates tt on tt.template_id = t.template_id
  join tasker.namespaces n on n.namespace_id = t.namespace_id
  where (reach is null or n.name = any(reach))
    and (_find_tasks.correlation_id is null or t.correlation_id = _find_tasks.correlation_id)
    and (_find_tasks.tag is null or _find_tasks.tag = any(t.tags))
    and (_find_tasks.namespace is null or n.name = _find_tasks.namespace)
    and (_find_tasks.name is null or tt.name = _find_tasks.name)
    and (_find_tasks.state is null or t.state = _find_tasks.state)
    and (not _find_tasks.unfinished or t.state in ('pending', 'in_progress'))
    and (_find_tasks.since is null or t.created_at >= _find_tasks.since)
  order by t.task_id desc
  limit _find_tasks.max_rows;
end $$;
