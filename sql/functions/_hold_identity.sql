-- Takes the lock of a request's identity until the caller commits, and looks for the task that has this identity already: its id,
-- or NULL; with what the row of a new one remembers of it.
create or replace function tasker._hold_identity(
  request tasker._task_request, out task_id bigint, out identity_key text, out context_hash bytea)
returns record
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
begin
  perform pg_advisory_xact_lock(tasker._request_lock(request));
  if request.idempotency_key is not null then
    _hold_identity.identity_key := request.template_name || '/' || request.idempotency_key;
    select t.task_id into _hold_identity.task_id
    from tasker.tasks t
    where t.namespace_id = request.namespace_id and t.identity_key = _hold_identity.identity_key;
  else
    _hold_identity.context_hash := tasker._context_hash(request.template_id, request.context);
    select min(t.task_id) into _hold_identity.task_id
    from tasker.tasks t
    where t.context_hash = _hold_identity.context_hash and t.finished_at is null;
    if _hold_identity.task_id is null then
      perform tasker._need_no_other_request(_hold_identity.context_hash);
    end if;
  end if;
end $$;
