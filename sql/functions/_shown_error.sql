-- An error in a few words: its message, or for those who must not read that, its type.
create or replace function tasker._shown_error(error jsonb, in_full boolean)
returns text
language sql immutable parallel safe
return case
  when _shown_error.in_full then _shown_error.error ->> 'message'
  else coalesce(_shown_error.error ->> 'error_type', '(its message is for those who may read tasker.steps)')
end;
