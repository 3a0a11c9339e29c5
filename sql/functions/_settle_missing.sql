-- Results whose step could not be locked: either it does not exist, or somebody holds it or its task.
create or replace function tasker._settle_missing(
  pass tasker._pass, msg_ids bigint[], step_ids bigint[], missing bigint[], at timestamptz)
returns tasker._pass
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  unknown_ids bigint[];
  reasons     text[];
  busy_ids    bigint[];
begin
  select array_agg(m.msg_id) filter (where s.step_id is null),
    array_agg(format('step %s does not exist', m.step_id)) filter (where s.step_id is null),
    array_agg(m.msg_id) filter (where s.step_id is not null)
  into unknown_ids, reasons, busy_ids
  from unnest(msg_ids, step_ids) m(msg_id, step_id)
  left join tasker.steps s on s.step_id = m.step_id
  where m.msg_id = any(missing);

  if unknown_ids is not null then
    pass.rejected := pass.rejected + tasker._reject('orchestration_step_results', unknown_ids, reasons, at);
  end if;
  if busy_ids is not null then
    pass := tasker._defer(pass, 'orchestration_step_results', busy_ids, at);
  end if;
  return pass;
end $$;
