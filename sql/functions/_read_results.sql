-- Step results in the order given: the attempt that each names and how it says that it ended, or why it cannot be used.
-- The plain case needs no more than the operators below, each field taken out once; what they cannot tell for sure goes
-- to _result_fault_of_text.
create or replace function tasker._read_results(messages jsonb[])
returns table (
  n bigint, fault text, step_id bigint, attempt integer, reported boolean, success boolean, results jsonb, error jsonb,
  metadata jsonb, took_ms integer, bytes integer)
language sql stable
begin atomic
  select r.n, r.fault,
    case when r.fault is null then (r.step)::bigint end,
    case when r.fault is null and r.attempt <> 'null' then (r.attempt)::integer end,
    coalesce(r.reported = 'true', false),
    r.status = 'success' or lower(r.status) in ('success', 'completed'),
    r.results,
    -- Not called for nothing: it is no expression that could be put in here.
    case when r.error is not null then tasker._error_object(r.error) end,
    nullif(r.metadata, 'null'),
    case when r.fault is null and r.took <> 'null' then least((r.took)::numeric, 2147483647)::integer end,
    pg_column_size(r.message)
  from (
    select f.*,
      case
        when jsonb_typeof(f.step) = 'number'
          and f.status in ('success', 'failure')
          and case jsonb_typeof(f.attempt)
                when 'number' then scale((f.attempt)::numeric) = 0 and (f.attempt)::numeric between 1 and 2147483647
                else f.attempt is null
              end
          and case jsonb_typeof(f.took)
                when 'number' then (f.took)::numeric between 0 and 9007199254740992
                else f.took is null
              end
          and case when f.task is null then true when jsonb_typeof(f.task) = 'number' then scale((f.task)::numeric) = 0 end
          and coalesce(f.error, 'null') = 'null'
          and coalesce(f.metadata, 'null') = 'null'
          and scale((f.step)::numeric) = 0
          and (f.step)::numeric between 1 and 9223372036854775807
        then case when (f.task)::numeric <> (f.step)::bigint >> 16 then format('step %s is not of task %s', f.step, f.task) end
        else coalesce(tasker._result_fault_of_text(f.message::text),
          case when jsonb_typeof(f.task) = 'number' and (f.task)::numeric <> (f.step)::bigint >> 16
            then format('step %s is not of task %s', f.step, f.task) end)
      end as fault
    from (
      select m.n, m.message, m.message -> 'step_id' as step, m.message -> 'attempt' as attempt,
        m.message -> 'task_id' as task, m.message ->> 'status' as status, m.message -> 'result_data' as results,
        m.message -> 'error' as error, m.message -> 'orchestration_metadata' as metadata,
        m.message -> 'execution_time_ms' as took, m.message -> 'reported' as reported
      from unnest(messages) with ordinality m(message, n)
      offset 0
    ) f
    offset 0
  ) r;
end;
