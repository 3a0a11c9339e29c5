-- For each request the task that it is a duplicate of, or NULL. A key counts as long as its task's row exists, a
-- context under identity strategy strict while its task is not finished.
create or replace function tasker._existing_tasks(requests tasker._task_request[])
returns bigint[]
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
begin
  return array(
    select case
        when r.idempotency_key is not null then (
          select t.task_id
          from tasker.tasks t
          where t.namespace_id = tt.namespace_id and t.identity_key = tt.name || '/' || r.idempotency_key)
        when tt.identity_strategy = 'strict' then (
          select min(t.task_id)
          from tasker.tasks t
          where t.context_hash = tasker._context_hash(r.request) and t.finished_at is null)
      end
    from (select r as request, r.*, row_number() over () as n from unnest(requests) r) r
    join tasker.task_templates tt on tt.template_id = r.template_id
    order by r.n);
end $$;
