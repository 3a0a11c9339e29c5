create or replace function tasker._new_pass()
returns tasker._pass
language sql immutable
return row(0, 0, 0, 0, 0, 0, 0, 0, false, null, '{}', null, '{}')::tasker._pass;
