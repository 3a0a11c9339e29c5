-- The entries of a sequence with ids and names only; each says that its results are omitted.
create or replace function tasker._without_results(entries jsonb)
returns jsonb
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
begin
  return (
    select jsonb_agg(e.entry - 'results' || '{"results_omitted": true}' order by e.n)
    from jsonb_array_elements(entries) with ordinality e(entry, n));
end $$;
