-- How many parents of a step are not complete, resolved_manually or skipped, counted in the graph.
create or replace function tasker._open_parents(step_id bigint, template_id bigint)
returns integer
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
begin
  return (
    select count(*)
    from tasker.template_dependencies d
    join tasker.steps p on p.step_id = (_open_parents.step_id & ~65535::bigint) + 1 + d.parent_index
    where d.template_id = _open_parents.template_id and d.child_index = (_open_parents.step_id & 65535) - 1
      and p.state not in ('complete', 'resolved_manually', 'skipped'));
end $$;
