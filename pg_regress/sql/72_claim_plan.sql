-- What a claim reads does not grow with what waits.
\getenv folder PG_ABS_SRCDIR
\set helpers :folder '/helpers.sql'
\set ECHO none
\i :helpers
\set ECHO all

select tasker.create_namespace('test_claim_plan', max_in_flight => null) as namespace_id \gset
-- The plans of this session are made now, while a page or two of rows waits, and what follows runs by them. So small a
-- table is read as a whole by any index as cheaply as row by row.
select tasker.register_template(
  '{"namespace_name": "test_claim_plan", "name": "early", "version": "1.0.0", "steps": [{"name": "it"}]}'::jsonb) > 0 as registered;
select count(*) from tasker.request_tasks('test_claim_plan', 'early', array_fill('{}'::jsonb, array[200]));
vacuum analyze tasker.waiting;
do $$ begin for pass in 1 .. 50 loop perform tasker.orchestrate(batch_size => 10); end loop; end $$;
select tasker.pause_namespace('test_claim_plan');
do $$
begin
  for template in 1 .. 4 loop
    call pg_temp.register(format($yaml$
      namespace_name: test_claim_plan
      name: number_%s
      version: 1.0.0
      steps: [{name: it}]
    $yaml$, template));
    for priority in 0 .. 4 loop
      perform tasker.request_tasks('test_claim_plan', 'number_' || template, array_fill('{}'::jsonb, array[1000]), priority => priority);
      call pg_temp.later('1 second');
    end loop;
  end loop;
end $$;
analyze tasker.waiting;

-- The core of tasker._claim_waiting, with the arguments in their places: every class of every template is read from its
-- own end of the index, and the sort is over the few that come from there.
create function pg_temp.plan(query text)
returns table ("plan of the claim" text)
language plpgsql
as $$
begin
  for "plan of the claim" in execute 'explain (costs off) ' || query loop
    continue when "plan of the claim" ~ 'Sort Key|^Aggregate|unnest|tasks|on first';
    "plan of the claim" := regexp_replace("plan of the claim", '\m\d+\M', 'N', 'g');
    return next;
  end loop;
end $$;
select * from pg_temp.plan(replace(replace($$
  with recursive class as (
    (select w.template_id, w.priority
     from tasker.waiting w
     where w.namespace_id = NAMESPACE and w.claimed_by is null
     order by w.template_id, w.priority
     limit 1)
    union all
    select n.template_id, n.priority
    from class c
    cross join lateral (
      select w.template_id, w.priority
      from tasker.waiting w
      where w.namespace_id = NAMESPACE and w.claimed_by is null
        and (w.template_id, w.priority) > (c.template_id, c.priority)
      order by w.template_id, w.priority
      limit 1) n
  ), candidate as (
    select h.*
    from class c
    cross join lateral (
      select w.ctid as row_id, w.task_id, w.step_id, w.priority, w.since
      from tasker.waiting w
      where w.namespace_id = NAMESPACE and w.template_id = c.template_id
        and w.priority = c.priority and w.claimed_by is null
      order by w.since, w.task_id, w.step_id
      limit 100) h
  ), first as (
    select c.*
    from candidate c
    order by tasker._computed_priority(c.priority, c.since, 'NOW') desc, c.since, c.task_id, c.step_id
    limit 100
  )
  select array_agg(f.row_id), array_agg(f.task_id), count(*)
  from first f
$$, 'NAMESPACE', :'namespace_id'), 'NOW', tasker.clock()::text));

-- The whole pass: of the 20,000 it reads no more than a batch of each of the 20 classes, once, and a few more; nor does it
-- read them for namespaces where nothing waits.
do $$ begin for i in 1 .. 20 loop perform tasker.create_namespace('test_claim_plan_' || i); end loop; end $$;
create function pg_temp.rows_read_by_a_pass(batch integer, out enqueued integer, out in_sequence bigint, out by_index bigint)
language plpgsql
as $$
begin
  select -t.seq_tup_read, -t.idx_tup_fetch into in_sequence, by_index
  from pg_stat_xact_user_tables t where t.relid = 'tasker.waiting'::regclass;
  select p.enqueued into enqueued from tasker.orchestrate(batch) p;
  select in_sequence + t.seq_tup_read, by_index + t.idx_tup_fetch into in_sequence, by_index
  from pg_stat_xact_user_tables t where t.relid = 'tasker.waiting'::regclass;
end $$;
select tasker.resume_namespace('test_claim_plan');
select enqueued, in_sequence, by_index between 10 and 20 * 10 + 100 as few from pg_temp.rows_read_by_a_pass(10);

-- So it is when half of them have gone.
do $$ begin for pass in 1 .. 100 loop perform tasker.orchestrate(batch_size => 100); end loop; end $$;
select enqueued, in_sequence, by_index between 10 and 20 * 10 + 100 as few from pg_temp.rows_read_by_a_pass(10);

-- Where there is no room nothing is read but that something waits; likewise where the namespace is paused.
select tasker.set_namespace_limit('test_claim_plan', 1);
select enqueued, in_sequence, by_index <= 20 as few from pg_temp.rows_read_by_a_pass(10);
select tasker.pause_namespace('test_claim_plan');
select enqueued, in_sequence, by_index <= 20 as few from pg_temp.rows_read_by_a_pass(10);

do $$ begin for i in 1 .. 20 loop perform tasker.drop_namespace('test_claim_plan_' || i); end loop; end $$;
select tasker.drop_namespace('test_claim_plan', force => true);
select * from tasker.check();
