-- The part of check() about reports that wait to be settled: of each there is a message that says so. It and the report
-- were written in one transaction, and settling takes both away in one.
create or replace function tasker._check_reports()
returns table (subject text, id bigint, expected text, found text)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
begin
  if to_regclass('pgmq.q_orchestration_step_results') is null then
    return; -- no namespace yet
  end if;
  return query
  select 'reported step', s.step_id, 'a message in orchestration_step_results'::text, 'none'::text
  from tasker.steps s
  where s.state in ('enqueued', 'in_progress')
    and s.reported_at is not null
    and to_jsonb(s.step_id) not in (
      select coalesce(q.message -> 'step_id', 'null') from pgmq.q_orchestration_step_results q)
  order by s.step_id;
end $$;
