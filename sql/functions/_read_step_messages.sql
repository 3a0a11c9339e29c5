-- The attempts that step messages are of, in the order given; no step_id where it is no step message.
create or replace function tasker._read_step_messages(messages jsonb[])
returns table (n integer, step_id bigint, attempt integer, message jsonb)
language sql immutable
begin atomic
  select m.n,
    case when m.valid then (m.step)::bigint end,
    case when m.valid then (m.attempt)::integer end,
    m.message
  from (
    select f.*,
      case when jsonb_typeof(f.step) = 'number' and jsonb_typeof(f.attempt) = 'number'
        then (f.step)::numeric between 1 and 9223372036854775807 and (f.attempt)::numeric between 1 and 2147483647
          and scale((f.step)::numeric) = 0 and scale((f.attempt)::numeric) = 0
        else false
      end as valid
    from (
      select m.n::integer, m.message, m.message -> 'step_id' as step, m.message -> 'attempt' as attempt
      from unnest(messages) with ordinality m(message, n)
      offset 0
    ) f
    offset 0
  ) m;
end;
