//! What holds in every row of `tasks`, `steps` and `timers`, whoever wrote it: the CHECK constraints of these tables.
//!
//! The server parses a table's constraints anew for each statement that writes to it. A constraint that calls one function
//! costs 3 us a statement, where ten constraints in SQL cost 20. Each column, test and call in it adds to that, so what
//! can be told from a column is told here.

use pgrx::prelude::*;

use super::jsonb::is_object;
use super::step_id::{index_of, task_of};
use crate::error::{Error, raise};

/// `rules` in pairs: what must hold, and how it is said.
fn check(table: &'static str, rules: &[(bool, &'static str)]) -> bool {
    match rules.iter().find(|(holds, _)| !holds) {
        Some((_, rule)) => raise(Error::Unsound { table, rule }),
        None => true,
    }
}

/// Whether a row of `steps` makes sense. Raises 23514 with the rule that it breaks.
#[pg_extern(immutable, parallel_safe)]
#[allow(clippy::too_many_arguments)] // the columns that the rules are about
fn _step_is_sound(
    step_id: i64,
    task_id: i64,
    state: &str,
    attempts: i32,
    max_attempts: i32,
    remaining_parents: i32,
    reported_status: Option<&str>,
    enqueued: bool,
    reported: bool,
    waits_for_retry: bool,
    ended: bool,
) -> bool {
    let in_flight = matches!(state, "enqueued" | "in_progress");
    let over = matches!(state, "complete" | "error" | "cancelled" | "resolved_manually" | "skipped");
    check(
        "steps",
        &[
            (
                in_flight || over || matches!(state, "pending" | "waiting_for_retry"),
                "state is one of those that a step has",
            ),
            (
                task_of(step_id) == task_id && index_of(step_id) >= 0,
                "step_id is task_id * 65536 + 1 + the step's index",
            ),
            (attempts >= 0 && max_attempts >= 1, "attempts is not negative, and max_attempts at least 1"),
            (remaining_parents >= 0, "remaining_parents is not negative"),
            (
                !in_flight || (attempts > 0 && enqueued && remaining_parents == 0),
                "a step in flight has an attempt and enqueued_at, and no remaining parents",
            ),
            (
                (state == "waiting_for_retry") == waits_for_retry,
                "next_retry_at is set while, and only while, a step waits for its retry",
            ),
            (
                reported == reported_status.is_some() && matches!(reported_status, None | Some("success" | "failure")),
                "reported_at and reported_status are set together, the latter to success or failure",
            ),
            (over == ended, "finished_at is set when, and only when, a step is over"),
        ],
    )
}

/// Whether a row of `tasks` makes sense. Raises 23514 with the rule that it breaks. NOT NULL is told before.
#[pg_extern(
    immutable,
    parallel_safe,
    sql = "create function tasker._task_is_sound(state text, priority smallint, active_steps integer,
  error_steps integer, claim_timeout_seconds integer, context jsonb, started_at timestamptz, finished_at timestamptz)
returns boolean immutable parallel safe language c as 'MODULE_PATHNAME', '@FUNCTION_NAME@';"
)]
#[allow(clippy::too_many_arguments)] // the columns that the rules are about
fn _task_is_sound(
    state: &str,
    priority: i16,
    active_steps: i32,
    error_steps: i32,
    claim_timeout_seconds: i32,
    context: &[u8],
    started_at: Option<TimestampWithTimeZone>,
    finished_at: Option<TimestampWithTimeZone>,
) -> bool {
    let goes_on = matches!(state, "pending" | "in_progress");
    check(
        "tasks",
        &[
            (
                goes_on || matches!(state, "complete" | "error" | "cancelled" | "resolved_manually"),
                "state is one of those that a task has",
            ),
            ((0..=4).contains(&priority), "priority is between 0 and 4"),
            (active_steps >= 0 && error_steps >= 0, "active_steps and error_steps are not negative"),
            ((1..=86400).contains(&claim_timeout_seconds), "claim_timeout_seconds is between 1 and 86400"),
            (is_object(context), "context is an object"),
            (goes_on == finished_at.is_none(), "finished_at is set when, and only when, a task is over"),
            (state != "pending" || started_at.is_none(), "a pending task has no started_at"),
        ],
    )
}

/// Whether a row of `timers` makes sense: its kind, what it is about, and how many steps and attempts it has. Raises 23514
/// with the rule that it breaks.
#[pg_extern(immutable, parallel_safe)]
fn _timer_is_sound(kind: &str, of_task: bool, of_steps: bool, steps: Option<i32>, attempts: Option<i32>) -> bool {
    let known = ["start", "deadline", "stuck", "claim", "finish", "retry", "queued", "absent", "lease"].contains(&kind);
    check(
        "timers",
        &[
            (known, "kind is one of those that a timer has"),
            (of_task != of_steps, "a timer is about a task or about steps"),
            (
                steps.zip(attempts).is_none_or(|(steps, attempts)| steps == attempts),
                "there is an attempt for each step",
            ),
        ],
    )
}
