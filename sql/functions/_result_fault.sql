-- Why a step result cannot be used; NULL when it can be. result_data may be anything and is not read.
create or replace function tasker._result_fault(message jsonb)
returns text
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
begin
  return tasker._result_fault_of_text((case jsonb_typeof(message) when 'object' then message - 'result_data' else message end)::text);
end $$;
