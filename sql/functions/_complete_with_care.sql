-- What complete_steps does where something is special. `tried`: it has been seen that the call may advance, and that these do not
-- at once.
create or replace function tasker._complete_with_care(results jsonb[], advance boolean, tried boolean)
returns table (item integer, step_id bigint, attempt integer, outcome text)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  settled constant bigint[] := tasker._deliver(_complete_with_care.results, _complete_with_care.advance, _complete_with_care.tried);
begin
  if cardinality(settled) = cardinality(_complete_with_care.results) then
    return query
    select r.n::integer, (r.result ->> 'step_id')::bigint, (r.result ->> 'attempt')::integer, 'settled'
    from unnest(_complete_with_care.results) with ordinality r(result, n);
    return;
  end if;
  return query
  select q.item, q.step_id, q.attempt, q.outcome from tasker._queue_results(_complete_with_care.results, settled) q;
end $$;
