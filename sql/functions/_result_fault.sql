-- Why a step result cannot be used; NULL when it can be.
create or replace function tasker._result_fault(message jsonb)
returns text
language sql immutable parallel safe
return tasker._result_fault_of_text(_result_fault.message::text);
