create or replace function tasker.set_namespace_limit(name text, max_in_flight integer)
returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  id constant bigint := tasker._namespace_id(set_namespace_limit.name);
begin
  if set_namespace_limit.max_in_flight < 1 then
    raise exception using
      errcode = 'invalid_parameter_value',
      message = 'max_in_flight must be at least 1',
      detail = format('It is %s.', set_namespace_limit.max_in_flight),
      hint = 'Pass NULL for no limit; pause_namespace() stops a namespace.';
  end if;
  update tasker.namespaces n
  set max_in_flight = set_namespace_limit.max_in_flight
  where n.namespace_id = id;
  perform tasker._wake();
end $$;
comment on function tasker.set_namespace_limit is
  'Sets how many steps of a namespace may be in its queue or at workers at once; NULL = no limit. What is in flight stays. Raises 42704 for an unknown namespace, 22023 for less than 1.';
