-- The error that a worker reports, as it is kept: an object as it is, a text as its message; NULL for anything else.
create or replace function tasker._error_object(error jsonb)
returns jsonb
language sql immutable parallel safe
return case jsonb_typeof(_error_object.error)
  when 'object' then _error_object.error
  when 'string' then jsonb_build_object('message', _error_object.error)
end;
