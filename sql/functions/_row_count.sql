-- The number of rows of a table, counted up to 10,000, beyond that estimated from a sample of 300 pages.
create or replace function tasker._row_count(relation regclass, out rows bigint, out estimated boolean)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  most    constant integer := 10000;
  percent constant double precision := least(100, 100 * 300
    / greatest(pg_relation_size(_row_count.relation) / current_setting('block_size')::double precision, 1));
begin
  execute format('select count(*) from (select from %s limit $1) r', _row_count.relation) into _row_count.rows using most;
  _row_count.estimated := _row_count.rows = most and percent < 100;
  if _row_count.rows = most then
    execute format('select greatest($1, round(count(*) * 100 / $2)) from %s r tablesample system ($2) repeatable (0)', _row_count.relation)
    into _row_count.rows using most, percent;
  end if;
end $$;
