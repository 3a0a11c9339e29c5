-- What is said to a caller who asks for something outside of its namespaces. what: the subject of the sentence.
create or replace function tasker._raise_out_of_reach(rights text[], what text)
returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  caller constant name := pg_get_userbyid(tasker._caller());
  reach  constant text[] := tasker._reach(rights);
begin
  if tasker._caller() is null then
    raise exception using
      errcode = 'insufficient_privilege',
      message = format('%s is out of reach for what runs while a table or materialized view is maintained', what),
      detail = 'It runs for the owner of that, and who the owner is cannot be told here. Some roles are limited to namespaces.',
      hint = 'Call it outside of index expressions and materialized views.';
  end if;
  raise exception using
    errcode = 'insufficient_privilege',
    message = format('%s is not within reach of role "%s"', what, caller),
    detail = case when cardinality(reach) > 0
      then format('As %s it has: %s.', array_to_string(rights, ' or '), array_to_string(reach, ', '))
      else format('It was granted no namespace as %s.', array_to_string(rights, ' or ')) end,
    hint = format('An administrator can give it one: SELECT tasker.grant_%s(%L, ''<namespace>'').', rights[1], caller);
end $$;
