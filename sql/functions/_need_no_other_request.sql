-- Above read committed a transaction does not see what others have requested since its snapshot was taken. Raises 40001 when
-- there is a task with this context hash by now: repeated, the request finds it. The caller holds the request's lock.
create or replace function tasker._need_no_other_request(context_hash bytea)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
begin
  if current_setting('transaction_isolation') not in ('read committed', 'read uncommitted')
    and tasker._has_open_task(_need_no_other_request.context_hash) then
    raise exception using
      errcode = 'serialization_failure',
      message = 'another transaction has requested a task with the same context meanwhile',
      detail = 'The template''s identity strategy is strict, and this transaction does not see that task.',
      hint = 'Roll back and request again.';
  end if;
end $$;
