-- The results of a step's parents, verbatim, in template order. Together larger than max_bytes, they are left out and
-- each entry says so.
create or replace function tasker._sequence(
  task_id bigint, template_id bigint, step_index integer, max_bytes integer, out sequence jsonb, out omitted boolean)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
begin
  select jsonb_agg(jsonb_build_object('step_id', p.step_id, 'step_name', ps.name, 'results', p.results) order by d.parent_index)
  into _sequence.sequence
  from tasker.template_dependencies d
  join tasker.steps p on p.step_id = (_sequence.task_id << 16) + 1 + d.parent_index
  join tasker.template_steps ps on ps.template_step_id = p.template_step_id
  where d.template_id = _sequence.template_id and d.child_index = _sequence.step_index;

  -- Fresh from jsonb_agg the datum is neither compressed nor toasted: this is its real size.
  omitted := pg_column_size(sequence) > max_bytes;
  if omitted then
    select jsonb_agg(e.entry - 'results' || '{"results_omitted": true}' order by e.n)
    into _sequence.sequence
    from jsonb_array_elements(sequence) with ordinality e(entry, n);
  end if;
end $$;
