-- Step results in the order given: the attempt that each names and how it says that it ended, or why it cannot be used.
-- Of the plain ones _result_fields is sure; what it cannot tell goes to _result_fault_of_text. With an operator for each field
-- and without enable_memoize = off a step took 505,000 instructions in all, with both 481,000 (batches of 100).
create or replace function tasker._read_results(messages jsonb[])
returns table (
  n bigint, fault text, step_id bigint, attempt integer, reported boolean, success boolean, results jsonb, error jsonb,
  metadata jsonb, took_ms integer, bytes integer)
language sql stable
begin atomic
  select r.n, r.fault, case when r.fault is null then r.step_id end, r.attempt, r.reported, r.success, r.results,
    -- Not called for nothing: it is no expression that could be put in here.
    case when r.error is not null then tasker._error_object(r.error) end,
    r.metadata, r.took_ms, r.bytes
  from (
    select f.*,
      coalesce(
        case when not f.plain then tasker._result_fault_of_text(messages[f.n + array_lower(messages, 1) - 1]::text) end,
        case when f.other_task is not null then format('step %s is not of task %s', f.step_id, f.other_task) end) as fault
    from tasker._result_fields(messages) f
    offset 0
  ) r;
end;
