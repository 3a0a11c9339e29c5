-- The body is parsed when it is created, so that it can be inlined into the claim and into views without a search path.
create or replace function tasker._computed_priority(priority smallint, since timestamptz, at timestamptz)
returns double precision
language sql immutable parallel safe
return _computed_priority.priority
  + (6 - _computed_priority.priority)
    * least(greatest(date_part('epoch', _computed_priority.at - _computed_priority.since), 0)
      / (case _computed_priority.priority when 0 then 180 when 1 then 300 when 2 then 480 when 3 then 540 else 600 end), 1);
comment on function tasker._computed_priority is
  'Priority after waiting: p + (6 - p) * least(age / T, 1) with T = 3, 5, 8, 9, 10 minutes for p = 0 to 4. From T on everything stands at 6, so nothing starves. Lower classes rise faster, and pass higher ones of the same age before all are there.';
