//! The wire protocol: what task requests and step results hold. The tables below are the reference.
//!
//! Fields that are not in the tables are ignored. A field that is `null` is a field that is missing. Whatever is said
//! to be "any JSON" or "kept as it is" may be of any depth and size: it is never looked into.
//!
//! A message that passes here can be read by SQL with plain casts: the limits are those of the column types.

pub mod result;
mod shape;
pub mod step;

#[cfg(test)]
mod tests;

use serde::de::IgnoredAny;
use shape::{Field, Shape, optional, required};
use std::collections::HashMap;

/// The last priority class: 0 background, 1 low, 2 normal, 3 high, 4 urgent.
const URGENT: i64 = 4;
/// A day in seconds.
const DAY: i64 = 86_400;
/// The largest number up to which a double holds every integer: 2^53.
const MAX_EXACT: i64 = 1 << 53;

/// A task request, as read from the queue `orchestration_task_requests`.
const REQUEST: &[Field] = &[
    // Where the template belongs.
    required("namespace", Shape::Text),
    // The template's name.
    required("name", Shape::Text),
    // The template's version, like "1.0.0". Missing: the highest that is not retired.
    optional("version", Shape::Text),
    // What the task is about. The template's default_context lies under it.
    required("context", Shape::Object),
    // The requester's own name for this message.
    optional("request_id", Shape::Uuid),
    // The priority class. Missing: 2.
    optional("priority", Shape::Integer(0, URGENT)),
    // Requests of one template with the same key are one task. 1 to 512 characters.
    optional("idempotency_key", Shape::TextOf(1, 512)),
    // Not to be started before, like "2026-11-23T21:12:04.123456+00:00". Missing: at once.
    optional("run_at", Shape::Timestamp),
    // The same for everything that one request set off. Missing: the parent's, else a new one.
    optional("correlation_id", Shape::Uuid),
    // The correlation_id of what set off this request.
    optional("parent_correlation_id", Shape::Uuid),
    // Who asks, from which system, and why: for people and for find_tasks.
    optional("initiator", Shape::Text),
    optional("source_system", Shape::Text),
    optional("reason", Shape::Text),
    // To find the task by.
    optional("tags", Shape::Texts),
    // Names of skippable steps that this task does without.
    optional("bypass_steps", Shape::Texts),
    // Seconds that an orchestrator outside may hold a claim on the task. Missing: 60.
    optional("claim_timeout_seconds", Shape::Integer(1, DAY)),
];

/// The older form of a task request. `message_type`, `message_id` and `enqueued_at` around it are ignored.
const NESTED_REQUEST: &[Field] = &[required("task_request", Shape::Fields(REQUEST))];

/// A step result, as read from the queue `orchestration_step_results` and as complete_steps takes it.
const RESULT: &[Field] = &[
    // From the step message. Written as an integer: 5.0 is not one.
    required("step_id", Shape::Integer(1, i64::MAX)),
    // Success or failure, in any letter case; see STATUSES.
    required("status", Shape::OneOf(STATUSES, "success or failure")),
    // From the step message, to be held against step_id.
    optional("task_id", Shape::Integer(1, i64::MAX)),
    // From the step message. Missing: the current attempt is meant, if it is in flight.
    optional("attempt", Shape::Integer(1, i32::MAX as i64)),
    // The step's results, any JSON, kept as it is.
    optional("result_data", Shape::Any),
    // Milliseconds that the handler took. May have a fraction.
    optional("execution_time_ms", Shape::Number(0, MAX_EXACT)),
    // Why it failed: an object, or its message alone.
    optional("error", Shape::TextOrFields(ERROR)),
    // What the orchestrator should know beside the outcome.
    optional("orchestration_metadata", Shape::Fields(METADATA)),
    // Set by complete_step and its kin: the report is in the step's row already.
    optional("reported", Shape::Boolean),
];

/// What `status` may say: `success` and `completed` are successes, the others failures.
const STATUSES: &[&str] = &["success", "completed", "failure", "failed", "error", "timed_out"];

/// `error` of a step result.
const ERROR: &[Field] = &[
    // What went wrong, for people.
    optional("message", Shape::Text),
    // A name to group by.
    optional("error_type", Shape::Text),
    // False: another attempt cannot help. Missing: true.
    optional("retryable", Shape::Boolean),
    // The HTTP status behind it.
    optional("status_code", Shape::Integer(i32::MIN as i64, i32::MAX as i64)),
    // Any JSON, kept as it is.
    optional("backtrace", Shape::Any),
    optional("context", Shape::Any),
];

/// `orchestration_metadata` of a step result. What headers and backoff_hint hold is never a fault: what `backoff`
/// cannot use, it ignores.
const METADATA: &[Field] = &[
    // HTTP headers of the answer that failed. Only retry-after counts: seconds or an HTTP date.
    optional("headers", Shape::Object),
    // {"type": "server_requested", "seconds": 60}, also {"backoff_type", "delay_seconds"}.
    optional("backoff_hint", Shape::Object),
    // Any JSON, kept as it is.
    optional("error_context", Shape::Any),
    optional("custom", Shape::Any),
];

/// Why a task request cannot be used: all reasons, each with the name of its field. `message` is JSON text.
pub fn request_fault(message: &str) -> Option<String> {
    let nested = fields_of(message).get("task_request").is_some_and(Option::is_some);
    shape::fault(message, if nested { NESTED_REQUEST } else { REQUEST })
}

/// Why a step result cannot be used: all reasons, each with the name of its field. `message` is JSON text.
pub fn result_fault(message: &str) -> Option<String> {
    shape::fault(message, RESULT)
}

/// The fields of an object, and which of them are not null.
fn fields_of(message: &str) -> HashMap<String, Option<IgnoredAny>> {
    serde_json::from_str(message).unwrap_or_default()
}
