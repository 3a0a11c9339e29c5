-- What names those who ask for the same messages of a queue: each such group has a mark of its own, since what one of
-- them leaves is for another. NULL: they take all.
create or replace function tasker._look_filter(task_names text[], step_names text[])
returns text
language sql immutable parallel safe
return case when task_names is not null or step_names is not null then jsonb_build_array(task_names, step_names)::text end;
