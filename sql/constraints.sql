-- Here and not with the tables, since what they call is written in Rust.
alter table tasker.tasks
  drop constraint if exists tasks_is_sound,
  add constraint tasks_is_sound check (tasker._task_is_sound(state, priority, active_steps, error_steps,
    claim_timeout_seconds, context, started_at, finished_at));
alter table tasker.steps
  drop constraint if exists steps_is_sound,
  add constraint steps_is_sound check (tasker._step_is_sound(step_id, task_id, state, attempts, max_attempts,
    remaining_parents, reported_status, enqueued_at is not null, reported_at is not null, next_retry_at is not null,
    finished_at is not null));
alter table tasker.timers
  drop constraint if exists timers_is_sound,
  add constraint timers_is_sound check (tasker._timer_is_sound(kind, task_id is not null, step_ids is not null,
    cardinality(step_ids), cardinality(attempts)));
