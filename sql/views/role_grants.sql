create view tasker.role_grants as
select
  r.rolname as role,
  g.granted,
  g.namespace,
  g.plain,
  n.namespace_id is not null as namespace_exists,
  g.granted_at,
  g.granted_by
from tasker.namespace_grants g
join pg_roles r on r.oid = g.role
left join tasker.namespaces n on n.name = g.namespace;
comment on view tasker.role_grants is
  'Roles whose rights are limited to namespaces, one row for each right and namespace. Members of tasker_worker and its kin are not in it: they have their rights everywhere.';
comment on column tasker.role_grants.role is 'The role. Its members have the right too.';
comment on column tasker.role_grants.granted is 'worker, requester or author.';
comment on column tasker.role_grants.namespace is 'For which namespace.';
comment on column tasker.role_grants.plain is 'Whether a worker may also use plain pgmq: read the namespace''s queue, and send results (of any namespace).';
comment on column tasker.role_grants.namespace_exists is 'Whether the namespace exists; an author may be granted one that it is to create.';
comment on column tasker.role_grants.granted_at is 'When it was granted first.';
comment on column tasker.role_grants.granted_by is 'By which session user.';

