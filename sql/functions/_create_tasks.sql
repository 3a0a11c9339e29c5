-- Makes tasks of requests that nothing is in the way of, in the caller's transaction, and returns their ids in order.
-- A request whose key, or whose context under identity strategy strict, has its task already gets that task's id.
create or replace function tasker._create_tasks(requests tasker._task_request[], at timestamptz)
returns bigint[]
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  keys     bigint[];
  task_ids bigint[];
  new_ids  bigint[];  -- NULL where no task is made
  written  boolean;
begin
  -- Sorted, so that two callers with the same keys cannot deadlock. Held until the caller commits.
  select array_agg(distinct k.key) filter (where k.key is not null) into keys
  from (select tasker._request_lock(r) as key from unnest(requests) r) k;
  if keys is null then
    new_ids := array(select nextval('tasker.tasks_task_id_seq') from generate_series(1, cardinality(requests)));
    task_ids := new_ids;
  else
    perform pg_advisory_xact_lock(k.key) from unnest(keys) k(key);
    select i.task_ids, i.new_ids into task_ids, new_ids from tasker._identify(requests) i;
    if current_setting('transaction_isolation') not in ('read committed', 'read uncommitted') then
      perform tasker._need_no_other_request(tasker._context_hash(r.template_id, r.context))
      from unnest(requests) with ordinality r
      where new_ids[r.ordinality] is not null and r.idempotency_key is null and r.identity_strategy = 'strict';
    end if;
  end if;

  written := tasker._write_requests(requests, new_ids, array(
      select case when r.idempotency_key is null and r.identity_strategy = 'strict'
        then tasker._context_hash(r.template_id, r.context) end
      from unnest(requests) r), at);
  perform tasker._wake();
  return task_ids;
end $$;
