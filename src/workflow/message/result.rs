//! Step results, read from jsonb.

use super::MAX_EXACT;
use crate::workflow::jsonb::read::{Number, Value, fields};
use crate::workflow::step_id::task_of;

/// What a step result says, as far as it is of the right types; see `RESULT`. A field that is null is missing.
#[derive(Debug, Default, PartialEq)]
pub struct StepResult<'a> {
    pub step_id: Option<i64>,
    pub attempt: Option<i32>,
    /// The report is in the step's row already.
    pub reported: bool,
    pub success: bool,
    /// As it came, null as well.
    pub results: Option<Value<'a>>,
    pub error: Option<Value<'a>>,
    pub metadata: Option<Value<'a>>,
    pub took_ms: Option<i32>,
    /// The task that it names, where that is not the step's.
    pub other_task: Option<i64>,
    /// Whether it is without a doubt well-formed. Of others `result_fault` tells.
    pub plain: bool,
}

/// Reads a result, in one go: some 4,000 instructions for a plain one, with its row for SQL.
pub fn step_result(content: &[u8]) -> StepResult<'_> {
    let mut result = StepResult::default();
    let (mut step, mut attempt, mut task, mut took, mut status) = (None, None, None, None, None);
    let read = fields(content, |name, value| match name {
        b"step_id" => step = Some(value),
        b"attempt" => attempt = Some(value),
        b"task_id" => task = Some(value),
        b"status" => status = Some(value),
        b"execution_time_ms" => took = Some(value),
        b"reported" => result.reported = value == Value::Boolean(true),
        b"result_data" => result.results = Some(value),
        b"error" => result.error = not_null(value),
        b"orchestration_metadata" => result.metadata = not_null(value),
        _ => {}
    });
    let status = match status {
        Some(Value::String(status)) => status,
        _ => b"",
    };
    let whole = |value: Option<Value>| number(value).and_then(Number::integer);
    let positive = |value: Option<Value>| whole(value).filter(|value| *value > 0);
    result.step_id = positive(step);
    result.attempt = positive(attempt).and_then(|attempt| i32::try_from(attempt).ok());
    result.took_ms = number(took).and_then(Number::rounded).map(|took| i32::try_from(took).unwrap_or(i32::MAX));
    result.success = [&b"success"[..], b"completed"].iter().any(|known| status.eq_ignore_ascii_case(known));
    result.other_task = result.step_id.and_then(|step| whole(task).filter(|task| *task != task_of(step)));
    result.plain = read.is_some()
        && matches!(status, b"success" | b"failure")
        && result.step_id.is_some()
        && attempt.is_some() == result.attempt.is_some()
        && task.is_some() == whole(task).is_some()
        && (took.is_none() || number(took).is_some_and(is_duration))
        && result.error.is_none()
        && result.metadata.is_none();
    result
}

fn is_duration(number: Number) -> bool {
    !number.is_negative() && number.rounded().is_some_and(|milliseconds| milliseconds <= MAX_EXACT)
}

fn number(value: Option<Value>) -> Option<Number> {
    match value {
        Some(Value::Number(number)) => Some(number),
        _ => None,
    }
}

fn not_null(value: Value) -> Option<Value> {
    Some(value).filter(|value| *value != Value::Null)
}
