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
  select d.template_id, s.n - 1 as step_index, h.message_head, h.message_step,
    coalesce(p.indexes, '{}') as parent_indexes, coalesce(p.heads, '{}') as parent_heads
  from tasker.task_templates d
  cross join lateral pg_catalog.jsonb_array_elements(d.definition -> 'steps') with ordinality s(step, n)
  cross join lateral tasker._message_heads(d.definition, s.step) h
  left join lateral (
    select pg_catalog.array_agg(e.parent_index order by e.parent_index) as indexes,
      pg_catalog.array_agg(pg_catalog.format(',"step_name":%s', pg_catalog.to_jsonb(ps.name)) order by e.parent_index) as heads
    from tasker.template_dependencies e
    join tasker.template_steps ps on ps.template_id = e.template_id and ps.step_index = e.parent_index
    where e.template_id = d.template_id and e.child_index = s.n - 1
    offset 0) p on true
)
update tasker.template_steps ts
set message_head = c.message_head, message_step = c.message_step,
  parent_indexes = c.parent_indexes, parent_heads = c.parent_heads
from computed c
where ts.template_id = c.template_id and ts.step_index = c.step_index
  and (ts.message_head, ts.message_step, ts.parent_indexes, ts.parent_heads)
    is distinct from (c.message_head, c.message_step, c.parent_indexes, c.parent_heads);

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
