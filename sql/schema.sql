-- The ground that everything else stands on: what the server must have, and who owns what.
-- `create extension` has made schema tasker (tasker_pg.control) and put it first in the search path.

do $$
declare
  schema_owner constant regrole := (select n.nspowner from pg_catalog.pg_namespace n where n.nspname = 'tasker');
begin
  -- Who owns the schema may drop what is in it, or put in what is found before ours.
  if schema_owner <> current_user::regrole
    and not (select r.rolsuper or r.rolname = 'tasker_owner' from pg_catalog.pg_roles r where r.oid = schema_owner) then
    raise exception using
      errcode = 'object_not_in_prerequisite_state',
      message = 'schema tasker exists already and is not ours',
      detail = format('It belongs to role %s.', schema_owner),
      hint = 'Rename it, or give it to the role that creates the extension.';
  end if;

  -- `requires` in the control file cannot name a version; 1.10 is the first pgmq whose message_record,
  -- send_batch and pop have the shapes that we use.
  if (select string_to_array(e.extversion, '.')::integer[] < array[1, 10]
      from pg_catalog.pg_extension e where e.extname = 'pgmq') then
    raise exception using
      errcode = 'feature_not_supported',
      message = 'tasker_pg needs pgmq 1.10 or newer',
      detail = format('pgmq %s is installed.', (select e.extversion from pg_catalog.pg_extension e where e.extname = 'pgmq')),
      hint = 'Run ALTER EXTENSION pgmq UPDATE, then try again.';
  end if;
end $$;

-- Roles belong to the cluster: a second database finds them already there. DROP EXTENSION leaves them.
do $$
declare
  role_name text;
begin
  foreach role_name in array array['tasker_owner', 'tasker_admin', 'tasker_requester', 'tasker_author', 'tasker_worker', 'tasker_monitor']
  loop
    if not exists (select from pg_catalog.pg_roles r where r.rolname = role_name) then
      begin
        execute format('create role %I nologin', role_name);
      exception when duplicate_object or unique_violation then
        null; -- another database's CREATE EXTENSION was quicker
      end;
    end if;
  end loop;
end $$;
