-- Makes outside claims whose time is over, and work set aside, everybody's again, as far as their tasks are not locked.
-- Returns the tasks that were not.
create or replace function tasker._expire_claims(task_ids bigint[], at timestamptz)
returns bigint[]
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  held bigint[];
begin
  select array_agg(t.task_id) into held
  from (
    select t.task_id
    from tasker.tasks t
    where t.task_id = any(_expire_claims.task_ids)
    order by t.task_id
    for no key update skip locked
  ) t;

  with expired as (
    delete from tasker.claims c where c.task_id = any(held) and c.expires_at <= at
  )
  -- What was set aside goes to whoever has claimed its task meanwhile.
  update tasker.waiting w
  set claimed_by = c.claimed_by, claim_expires_at = c.expires_at, fault = null
  from unnest(held) h(task_id)
  left join tasker.claims c on c.task_id = h.task_id and c.expires_at > at
  where w.task_id = h.task_id and w.ctid in (
    select l.ctid
    from tasker.waiting l
    where l.task_id = any(held) and l.claim_expires_at <= at
    for update skip locked);
  return held;
end $$;
