-- The server must run the library of the version that this script leads to: one that was preloaded stays until a restart,
-- whatever the package has put into its place.
do $$
declare
  loaded text;
begin
  begin
    create function tasker._library_version() returns text language c as 'MODULE_PATHNAME', '_library_version_wrapper';
    execute 'select tasker._library_version()' into loaded;
    drop function tasker._library_version();
  exception
    when duplicate_function then
      execute 'select tasker._library_version()' into loaded;
    when undefined_function then
      loaded := 'older';
  end;
  if loaded <> '@VERSION@' then
    raise exception using
      errcode = 'object_not_in_prerequisite_state',
      message = 'the server runs another version of the library of tasker_pg than @VERSION@',
      detail = pg_catalog.format('The library that is loaded is %s. Nothing has been changed.',
        case loaded when 'older' then 'older than 0.2.0' else 'of version ' || loaded end),
      hint = 'A library that is preloaded stays until a restart: restart the server, then run ALTER EXTENSION tasker_pg UPDATE again.';
  end if;
end $$;
