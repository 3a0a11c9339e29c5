-- Why a task request cannot be used; NULL when it can be.
create or replace function tasker._request_fault(message jsonb)
returns text
language sql immutable parallel safe
return tasker._request_fault_of_text(_request_fault.message::text);
