-- Results that _hold_attempts could not take hold of: some cannot be used or name no step, and are set apart with the
-- reason; the others wait for whoever has locked their step or its task.
create or replace function tasker._settle_unheld(pass tasker._pass, msg_ids bigint[], messages jsonb[], at timestamptz)
returns tasker._pass
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  bad_ids  bigint[];
  reasons  text[];
  busy_ids bigint[];
begin
  select array_agg(msg_ids[r.n]) filter (where r.fault is not null), array_agg(r.fault) filter (where r.fault is not null),
    array_agg(msg_ids[r.n]) filter (where r.fault is null)
  into bad_ids, reasons, busy_ids
  from (
    select r.n, coalesce(r.fault, case when s.step_id is null then format('step %s does not exist', r.step_id) end) as fault
    from tasker._read_results(messages) r
    left join tasker.steps s on s.step_id = r.step_id
  ) r;
  if bad_ids is not null then
    pass.rejected := pass.rejected + tasker._reject('orchestration_step_results', bad_ids, reasons, at);
  end if;
  if busy_ids is not null then
    pass := tasker._defer(pass, 'orchestration_step_results', busy_ids, at);
  end if;
  return pass;
end $$;
