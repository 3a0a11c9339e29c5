-- The roles that CREATE EXTENSION makes.
create or replace function tasker._role_names()
returns text[]
language sql immutable parallel safe
return '{tasker_admin,tasker_author,tasker_monitor,tasker_owner,tasker_requester,tasker_worker}'::text[];
