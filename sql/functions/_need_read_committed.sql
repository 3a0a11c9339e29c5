-- Raises 25000 above isolation level read committed, where sums would be old and limits broken.
create or replace function tasker._need_read_committed(what text)
returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
begin
  if current_setting('transaction_isolation') not in ('read committed', 'read uncommitted') then
    raise exception using
      errcode = 'invalid_transaction_state',
      message = format('%s needs isolation level read committed', _need_read_committed.what),
      detail = format('This transaction is %s: its statements would not see what others commit meanwhile.',
        current_setting('transaction_isolation')),
      hint = 'Call it in a transaction of its own.';
  end if;
end $$;
