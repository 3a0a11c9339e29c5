-- Sets apart the messages of a namespace's queue that are no step messages, or whose step does not exist, lest they stand
-- in the way for ever: only the engine sends here.
create or replace function tasker._reject_useless(queue_name text, msg_ids bigint[], messages jsonb[], at timestamptz)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict error
declare
  bad_ids bigint[];
  reasons text[];
begin
  select array_agg(msg_ids[f.n]), array_agg(f.fault) into bad_ids, reasons
  from (
    select r.n,
      case
        when r.step_id is null then 'not a step message: step_id or attempt is missing or no integer'
        when s.step_id is null then format('step %s does not exist', r.step_id)
      end as fault
    from tasker._read_step_messages(messages) r
    left join tasker.steps s on s.step_id = r.step_id
  ) f
  where f.fault is not null;
  if bad_ids is not null then
    perform tasker._reject(queue_name, bad_ids, reasons, at);
  end if;
end $$;
