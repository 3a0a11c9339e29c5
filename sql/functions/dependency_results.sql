create or replace function tasker.dependency_results(step_id bigint)
returns table (parent_step_id bigint, step_name text, results jsonb)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
begin
  if dependency_results.step_id is null then
    raise exception using errcode = 'null_value_not_allowed', message = 'step_id must not be NULL';
  end if;
  if tasker._is_limited('{worker}') then
    perform tasker._check_tasks('{worker}', array[dependency_results.step_id >> 16]);
  end if;
  if not exists (select from tasker.steps s where s.step_id = dependency_results.step_id) then
    raise exception using
      errcode = 'undefined_object',
      message = format('step %s does not exist', dependency_results.step_id);
  end if;
  return query
  select p.step_id, ps.name, p.results
  from tasker.steps s
  join tasker.template_steps ts on ts.template_step_id = s.template_step_id
  join tasker.template_dependencies d on d.template_id = ts.template_id and d.child_index = ts.step_index
  join tasker.steps p on p.step_id = (s.task_id << 16) + 1 + d.parent_index
  join tasker.template_steps ps on ps.template_step_id = p.template_step_id
  where s.step_id = dependency_results.step_id
  order by d.parent_index;
end $$;
comment on function tasker.dependency_results is
  'The results of a step''s parents, in template order: what `sequence` of its message holds, for messages that say results_omitted. Raises 42704 for an unknown step.';
