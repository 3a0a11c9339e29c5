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

-- What is computed from definitions is computed anew, as register_template does it now.
with computed as (
  select ts.template_step_id, n.name as namespace, d.name as task_name, d.version as task_version,
    coalesce(p.indexes, '{}') as parent_indexes, coalesce(p.names, '{}') as parent_names
  from tasker.template_steps ts
  join tasker.task_templates d on d.template_id = ts.template_id
  join tasker.namespaces n on n.namespace_id = d.namespace_id
  left join lateral (
    select pg_catalog.array_agg(e.parent_index order by e.parent_index) as indexes,
      pg_catalog.array_agg(ps.name order by e.parent_index) as names
    from tasker.template_dependencies e
    join tasker.template_steps ps on ps.template_id = e.template_id and ps.step_index = e.parent_index
    where e.template_id = ts.template_id and e.child_index = ts.step_index
    offset 0) p on true
)
update tasker.template_steps ts
set namespace = c.namespace, task_name = c.task_name, task_version = c.task_version,
  parent_indexes = c.parent_indexes, parent_names = c.parent_names
from computed c
where ts.template_step_id = c.template_step_id
  and (ts.namespace, ts.task_name, ts.task_version, ts.parent_indexes, ts.parent_names)
    is distinct from (c.namespace, c.task_name, c.task_version, c.parent_indexes, c.parent_names);

-- Roles that are limited to namespaces get their rights anew: on functions that are new, too. From tasker_owner, as
-- grant_worker() and its kin would.
do $$
declare
  me constant text := pg_catalog.current_setting('role');
begin
  perform pg_catalog.set_config('role', 'tasker_owner', true);
  perform tasker._apply_grants(g.role)
  from (select distinct g.role::oid as role from tasker.namespace_grants g) g
  join pg_catalog.pg_roles r on r.oid = g.role
  order by g.role;
  perform pg_catalog.set_config('role', me, true);
end $$;
