-- From 0.1.0 to 0.2.0, by hand: tables, types, and functions that CREATE OR REPLACE cannot change (another type of
-- result, other names of parameters). `cargo test --test upgrade` says what is missing here.

alter table tasker.step_transitions drop column task_id, add column execution_time_ms integer, drop constraint step_transitions_pkey;
create index step_transitions_by_step on tasker.step_transitions (step_id);
create index waiting_held on tasker.waiting (namespace_id, template_id, priority, since, task_id, step_id)
  where claimed_by is not null;
-- Both tell now what they estimate.
drop function tasker._queue_depths();
drop function tasker.get_system_health_counts();
