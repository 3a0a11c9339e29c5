-- Raises 22023 unless results that were passed to a function are well-formed, with all that is wrong with them.
create or replace function tasker._check_results(results jsonb[], max_bytes integer)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  faults text;
begin
  select string_agg(format('results[%s]: %s', r.n,
      case
        when r.fault is not null then r.fault
        when r.attempt is null then 'attempt is missing'
        else format('has %s bytes, more than tasker.max_payload_bytes (%s)', r.bytes, max_bytes)
      end), e'\n' order by r.n)
  into faults
  from tasker._read_results(_check_results.results) r
  where r.fault is not null or r.attempt is null or r.bytes > max_bytes;
  if faults is not null then
    raise exception using errcode = 'invalid_parameter_value', message = 'results are not well-formed; none was taken',
      detail = faults;
  end if;
end $$;
