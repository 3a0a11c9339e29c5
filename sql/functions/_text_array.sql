-- The elements of a JSON array of strings; an empty array for none.
create or replace function tasker._text_array(list jsonb)
returns text[]
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
begin
  if jsonb_typeof(list) is distinct from 'array' then
    return '{}';
  end if;
  return array(select e.value from jsonb_array_elements_text(list) with ordinality e(value, n) order by e.n);
end $$;
