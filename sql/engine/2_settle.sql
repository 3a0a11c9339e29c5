-- Phase 2: results from the queue end attempts. A result whose task, step or a child of it is locked by anybody stays in
-- the queue and is looked at again 50 ms later.
create or replace function tasker._settle(pass tasker._pass, batch integer, at timestamptz, only_msg_id bigint default null)
returns tasker._pass
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
declare
  look     record;
  matched  record;
  ended    record;
  unheld   record;
  held_up  bigint[];
  removed  integer;
begin
  look := tasker._look('orchestration_step_results', batch, only_msg_id => only_msg_id);
  if look.msg_ids is null then
    return pass;
  end if;
  pass.more := pass.more or cardinality(look.msg_ids) = batch or look.again;

  matched := tasker._hold_attempts(look.messages, queued => true);
  if cardinality(matched.held) is distinct from cardinality(look.msg_ids) then
    select array_agg(m.msg_id) as msg_ids, array_agg(m.message) as messages into unheld
    from unnest(look.msg_ids, look.messages) with ordinality m(msg_id, message, n)
    where m.n not in (select unnest(matched.held));
    pass := tasker._settle_unheld(pass, unheld.msg_ids, unheld.messages, at);
    if matched.held is null then
      return pass;
    end if;
  end if;
  if matched.outcomes is not null then
    ended := tasker._end_attempts(matched.outcomes, at);
    pass.ready_in := case when pass.settled = 0 and pass.ready = '{}' and not ended.failed then matched.only_namespace end;
    pass.ready := pass.ready || ended.ready;
    pass.over := pass.over || ended.over;
    if ended.held_up is not null then
      -- All results of such a step stay, in their order.
      held_up := array(
        select m.n from unnest(look.messages) with ordinality m(message, n)
        where m.n in (select unnest(matched.held)) and (m.message ->> 'step_id')::bigint in (select unnest(ended.held_up)));
      matched.held := array(select i from unnest(matched.held) i where i not in (select unnest(held_up)));
      matched.settled := array(select i from unnest(matched.settled) i where i not in (select unnest(held_up)));
      pass := tasker._defer(pass, 'orchestration_step_results', array(select look.msg_ids[i] from unnest(held_up) i), at);
    end if;
  end if;
  removed := tasker._remove_messages('orchestration_step_results', look.msg_ids, matched.held);
  pass.settled := pass.settled + coalesce(cardinality(matched.settled), 0);
  pass.late := pass.late + cardinality(matched.held) - coalesce(cardinality(matched.settled), 0);
  return pass;
end $$;
