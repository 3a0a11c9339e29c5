-- The entries of a sequence with ids and names only, as JSON text; each says that its results are omitted.
create or replace function tasker._sequence_without_results(task_id bigint, parent_indexes integer[], parent_heads text[])
returns text
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
  select string_agg(
    concat('{"step_id":', (task_id << 16) + 1 + d.parent_index, d.head, ',"results_omitted":true}'), ',' order by d.n)
  from unnest(parent_indexes, parent_heads) with ordinality d(parent_index, head, n);
$$;
