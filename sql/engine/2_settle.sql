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
  msg_ids  bigint[];
  messages jsonb[];
  matched  record;
  ended    record;
  unheld   record;
  held_up  bigint[];
begin
  loop
    select * into look from tasker._begin_look('orchestration_step_results', only_msg_id => only_msg_id);
    select array_agg(q.msg_id), array_agg(q.message) into msg_ids, messages
    from (
      select q.msg_id, q.message
      from pgmq.q_orchestration_step_results q
      where q.vt <= clock_timestamp() and q.msg_id > look.after and q.msg_id <= look.upto
      order by q.msg_id
      limit batch
      for update skip locked
    ) q;
    perform tasker._end_look(msg_ids[1], msg_ids[cardinality(msg_ids)]);
    exit when msg_ids is not null or not look.again;
  end loop;
  if msg_ids is null then
    return pass;
  end if;
  pass.more := pass.more or cardinality(msg_ids) = batch or look.again;

  select * into matched from tasker._hold_attempts(messages, reported_too => true);
  if cardinality(matched.held) is distinct from cardinality(msg_ids) then
    select array_agg(m.msg_id) as msg_ids, array_agg(m.message) as messages into unheld
    from unnest(msg_ids, messages) with ordinality m(msg_id, message, n)
    where m.n not in (select unnest(matched.held));
    pass := tasker._settle_unheld(pass, unheld.msg_ids, unheld.messages, at);
    if matched.held is null then
      return pass;
    end if;
  end if;
  if matched.outcomes is not null then
    select * into ended from tasker._end_attempts(matched.outcomes, at);
    pass.ready := pass.ready || ended.ready;
    pass.over := pass.over || ended.over;
    if ended.held_up is not null then
      -- All results of such a step stay, in their order.
      held_up := array(
        select m.n from unnest(messages) with ordinality m(message, n)
        where m.n in (select unnest(matched.held)) and (m.message ->> 'step_id')::bigint in (select unnest(ended.held_up)));
      matched.held := array(select i from unnest(matched.held) i where i not in (select unnest(held_up)));
      matched.settled := array(select i from unnest(matched.settled) i where i not in (select unnest(held_up)));
      pass := tasker._defer(pass, 'orchestration_step_results', array(select msg_ids[i] from unnest(held_up) i), at);
    end if;
  end if;
  delete from pgmq.q_orchestration_step_results q where q.msg_id = any(array(select msg_ids[i] from unnest(matched.held) i));
  pass.settled := pass.settled + coalesce(cardinality(matched.settled), 0);
  pass.late := pass.late + cardinality(matched.held) - coalesce(cardinality(matched.settled), 0);
  return pass;
end $$;
