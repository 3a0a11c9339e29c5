-- Why a task request cannot be used; NULL when it can be. What is inside of the context is not read.
create or replace function tasker._request_fault(message jsonb)
returns text
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
begin
  return tasker._request_fault_of_text((
    case
      when jsonb_typeof(message #> '{task_request,context}') = 'object' then jsonb_set(message, '{task_request,context}', '{}')
      when jsonb_typeof(message -> 'context') = 'object' then jsonb_set(message, '{context}', '{}')
      else message
    end)::text);
end $$;
