-- Views may have lost columns, and the new version may have no such view any more.
do $$
declare
  statement text;
begin
  for statement in select g.statement from _view_grants g
  loop
    begin
      execute statement;
    exception when undefined_table or undefined_column then
      raise notice using message = 'a right could not be given back', detail = statement;
    end;
  end loop;
end $$;
drop table _view_grants;
