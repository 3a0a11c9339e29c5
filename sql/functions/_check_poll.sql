-- Whether a worker may ask for steps like that. Returns the id of the namespace.
create or replace function tasker._check_poll(namespace text, qty integer, lease interval, worker_id text)
returns bigint
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  id bigint;
begin
  if tasker._is_limited('{worker}') then
    perform tasker._check_namespace('{worker}', _check_poll.namespace);
  end if;
  id := coalesce(tasker._find_namespace(_check_poll.namespace), tasker._namespace_id(_check_poll.namespace));
  if _check_poll.qty is null or _check_poll.qty not between 1 and 10000 then
    raise exception using errcode = 'invalid_parameter_value', message = 'qty must be between 1 and 10000',
      detail = format('It is %s.', coalesce(_check_poll.qty::text, 'NULL'));
  end if;
  if length(_check_poll.worker_id) > 256 then
    raise exception using errcode = 'invalid_parameter_value', message = 'worker_id has at most 256 characters',
      detail = format('It has %s.', length(_check_poll.worker_id));
  end if;
  if _check_poll.lease <= interval '0' then
    raise exception using errcode = 'invalid_parameter_value', message = 'lease must be longer than nothing',
      detail = format('It is %s.', _check_poll.lease), hint = 'Pass NULL for the timeout of each step.';
  end if;
  return id;
end $$;
