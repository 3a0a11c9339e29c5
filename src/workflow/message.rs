//! The wire protocol: what may be in a message, field by field. This file is its reference.
//!
//! A field that is not listed is ignored. `null` in an optional field counts as missing. Times are RFC 3339 text, ids of
//! steps and tasks are integers (bigint), uuids text.

use serde_json::{Map, Value};

/// Names of statuses in any letter case; `completed`, `failed`, `error` and `timed_out` are what older workers say.
const STATUSES: [&str; 6] = ["success", "failure", "completed", "failed", "error", "timed_out"];
/// 2^53: a duration in milliseconds that every JSON reader can hold.
const MAX_MS: f64 = 9_007_199_254_740_992.0;
/// Characters in an idempotency key.
const MAX_KEY_LENGTH: usize = 512;

/// What a field must be.
#[derive(Clone, Copy)]
enum Shape {
    /// Any text.
    Text,
    /// Text of a uuid.
    Uuid,
    /// RFC 3339 text.
    Time,
    /// An object, whatever is in it.
    Object,
    /// An array of texts.
    Texts,
    /// true or false.
    Boolean,
    /// A whole number between the two, written without fraction or exponent.
    Integer(i64, i64),
    /// Milliseconds, 0 to 2^53.
    Milliseconds,
    /// Text of 1 to 512 characters.
    Key,
    /// One of `STATUSES`.
    Status,
    /// An error: text, or an object with `ERROR_FIELDS`.
    Error,
}

struct Field {
    name: &'static str,
    required: bool,
    shape: Shape,
}

const fn required(name: &'static str, shape: Shape) -> Field {
    Field { name, required: true, shape }
}

const fn optional(name: &'static str, shape: Shape) -> Field {
    Field { name, required: false, shape }
}

/// A task request, in `orchestration_task_requests`: the asynchronous way to call `tasker.request_task`.
const REQUEST_FIELDS: &[Field] = &[
    required("namespace", Shape::Text),
    required("name", Shape::Text),
    required("context", Shape::Object),
    optional("request_id", Shape::Uuid),
    optional("version", Shape::Text),
    optional("priority", Shape::Integer(0, 4)),
    optional("idempotency_key", Shape::Key),
    optional("run_at", Shape::Time),
    optional("correlation_id", Shape::Uuid),
    optional("parent_correlation_id", Shape::Uuid),
    optional("initiator", Shape::Text),
    optional("source_system", Shape::Text),
    optional("reason", Shape::Text),
    optional("tags", Shape::Texts),
    optional("bypass_steps", Shape::Texts),
    optional("claim_timeout_seconds", Shape::Integer(1, 86_400)),
];

/// A step result, in `orchestration_step_results`. `result_data` may be any JSON. Without `attempt` the attempt in
/// flight is meant. `reported` is set by `complete_step` and `fail_step`: the report is in the step's row.
const RESULT_FIELDS: &[Field] = &[
    required("step_id", Shape::Integer(1, i64::MAX)),
    required("status", Shape::Status),
    optional("task_id", Shape::Integer(1, i64::MAX)),
    optional("attempt", Shape::Integer(1, i32::MAX as i64)),
    optional("execution_time_ms", Shape::Milliseconds),
    optional("error", Shape::Error),
    optional("orchestration_metadata", Shape::Object),
    optional("reported", Shape::Boolean),
];

/// The object form of a result's `error`. `backtrace` and `context` may be any JSON. `retryable` missing means true.
const ERROR_FIELDS: &[Field] = &[
    optional("message", Shape::Text),
    optional("error_type", Shape::Text),
    optional("retryable", Shape::Boolean),
    optional("status_code", Shape::Integer(i32::MIN as i64, i32::MAX as i64)),
];

/// A result's `orchestration_metadata`. What the headers and the hint hold is never a fault: the retry delay ignores
/// what it cannot use.
const METADATA_FIELDS: &[Field] = &[optional("headers", Shape::Object), optional("backoff_hint", Shape::Object)];

/// Why a task request cannot be used, every reason, joined by `; `; `None` when it can be. Both forms: the fields
/// themselves, or the older `{"message_type", "task_request": {…}, "message_id", "enqueued_at"}` around them.
pub fn request_fault(message: &Value) -> Option<String> {
    let nested = message.get("task_request").filter(|request| !request.is_null());
    match nested {
        Some(request) => faults_text(request, "task_request", REQUEST_FIELDS),
        None => faults_text(message, "", REQUEST_FIELDS),
    }
}

/// Why a step result cannot be used, every reason, joined by `; `; `None` when it can be.
pub fn result_fault(message: &Value) -> Option<String> {
    faults_text(message, "", RESULT_FIELDS)
}

fn faults_text(value: &Value, path: &str, fields: &[Field]) -> Option<String> {
    let faults = object_faults(value, path, fields);
    (!faults.is_empty()).then(|| faults.join("; "))
}

fn object_faults(value: &Value, path: &str, fields: &[Field]) -> Vec<String> {
    match value {
        Value::Object(object) => fields.iter().flat_map(|field| field_faults(object, path, field)).collect(),
        other if path.is_empty() => vec![format!("the message must be an object, not {}", kind(other))],
        other => vec![format!("{path} must be an object, not {}", kind(other))],
    }
}

fn field_faults(object: &Map<String, Value>, path: &str, field: &Field) -> Vec<String> {
    let path = if path.is_empty() { field.name.to_owned() } else { format!("{path}.{}", field.name) };
    match object.get(field.name) {
        None | Some(Value::Null) if field.required => vec![format!("{path} is missing")],
        None | Some(Value::Null) => vec![],
        Some(value) => shape_faults(value, &path, field.shape),
    }
}

fn shape_faults(value: &Value, path: &str, shape: Shape) -> Vec<String> {
    let wanted = match shape {
        Shape::Error if value.is_object() => return object_faults(value, path, ERROR_FIELDS),
        Shape::Object if path == "orchestration_metadata" => return object_faults(value, path, METADATA_FIELDS),
        shape if fits(value, shape) => return vec![],
        shape => wanted(shape),
    };
    vec![format!("{path} must be {wanted}, not {}", describe(value))]
}

fn fits(value: &Value, shape: Shape) -> bool {
    match shape {
        Shape::Text => value.is_string(),
        Shape::Uuid => value.as_str().is_some_and(|text| uuid::Uuid::parse_str(text).is_ok()),
        Shape::Time => value.as_str().is_some_and(|text| chrono::DateTime::parse_from_rfc3339(text).is_ok()),
        Shape::Object => value.is_object(),
        Shape::Texts => value.as_array().is_some_and(|items| items.iter().all(Value::is_string)),
        Shape::Boolean => value.is_boolean(),
        Shape::Integer(least, most) => value.as_i64().is_some_and(|number| (least..=most).contains(&number)),
        Shape::Milliseconds => value.as_f64().is_some_and(|number| (0.0..=MAX_MS).contains(&number)),
        Shape::Key => value.as_str().is_some_and(|text| (1..=MAX_KEY_LENGTH).contains(&text.chars().count())),
        Shape::Status => value.as_str().is_some_and(|text| STATUSES.contains(&text.to_lowercase().as_str())),
        Shape::Error => value.is_string(),
    }
}

fn wanted(shape: Shape) -> String {
    match shape {
        Shape::Text => "text".into(),
        Shape::Uuid => "a uuid".into(),
        Shape::Time => "a time such as 2026-11-23T12:00:00Z".into(),
        Shape::Object => "an object".into(),
        Shape::Texts => "an array of texts".into(),
        Shape::Boolean => "true or false".into(),
        Shape::Integer(least, most) => format!("an integer between {least} and {most}"),
        Shape::Milliseconds => "a number of milliseconds between 0 and 2^53".into(),
        Shape::Key => format!("text of 1 to {MAX_KEY_LENGTH} characters"),
        Shape::Status => "success or failure".into(),
        Shape::Error => "an object or text".into(),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// The kind of a value, and the value itself where it is short.
fn describe(value: &Value) -> String {
    let text = value.to_string();
    if value.is_array() || value.is_object() || text.chars().count() > 60 {
        return kind(value).to_owned();
    }
    format!("{} {text}", kind(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn request() -> Value {
        json!({"namespace": "shop", "name": "order", "context": {}})
    }

    fn result() -> Value {
        json!({"step_id": 65537, "status": "success"})
    }

    fn with(mut message: Value, field: &str, value: Value) -> Value {
        message[field] = value;
        message
    }

    #[test]
    fn the_required_fields_are_enough() {
        assert_eq!(request_fault(&request()), None);
        assert_eq!(result_fault(&result()), None);
    }

    #[test]
    fn the_older_nested_request_is_read() {
        let nested = json!({"message_type": "task_request", "task_request": request(), "message_id": "x"});
        assert_eq!(request_fault(&nested), None);
        let broken = json!({"task_request": {"namespace": "shop", "name": "order"}});
        assert_eq!(request_fault(&broken).as_deref(), Some("task_request.context is missing"));
    }

    #[test]
    fn every_fault_is_named_at_once() {
        assert_eq!(
            result_fault(&json!({"step_id": "1", "status": "sucess", "attempt": 0})).as_deref(),
            Some(
                "step_id must be an integer between 1 and 9223372036854775807, not text \"1\"; \
                 status must be success or failure, not text \"sucess\"; \
                 attempt must be an integer between 1 and 2147483647, not a number 0"
            )
        );
    }

    #[test]
    fn what_is_no_object_is_said_so() {
        for message in [json!(null), json!(1), json!("x"), json!([]), json!(true)] {
            let fault = result_fault(&message).unwrap_or_default();
            assert!(fault.starts_with("the message must be an object, not "), "{fault}");
            assert!(request_fault(&message).is_some());
        }
    }

    #[test]
    fn statuses_are_read_in_any_letter_case() {
        for status in ["SUCCESS", "Completed", "failed", "ERROR", "Timed_Out", "failure"] {
            assert_eq!(result_fault(&with(result(), "status", json!(status))), None);
        }
    }

    #[test]
    fn null_counts_as_missing() {
        for field in ["attempt", "task_id", "error", "orchestration_metadata", "execution_time_ms", "result_data"] {
            assert_eq!(result_fault(&with(result(), field, json!(null))), None, "{field}");
        }
        assert!(result_fault(&with(result(), "step_id", json!(null))).is_some());
    }

    #[test]
    fn wrong_types_are_faults() {
        for (field, value) in [
            ("step_id", json!(1.5)),
            ("step_id", json!(1e300)),
            ("step_id", json!(-1)),
            ("attempt", json!("1")),
            ("attempt", json!(2147483648_i64)),
            ("execution_time_ms", json!(-1)),
            ("error", json!(5)),
            ("error", json!({"retryable": "yes"})),
            ("orchestration_metadata", json!([])),
            ("orchestration_metadata", json!({"headers": "x"})),
        ] {
            assert!(result_fault(&with(result(), field, value.clone())).is_some(), "{field} {value}");
        }
        for (field, value) in [
            ("priority", json!(5)),
            ("run_at", json!("tomorrow")),
            ("correlation_id", json!("x")),
            ("tags", json!(["a", 1])),
            ("idempotency_key", json!("")),
            ("context", json!([])),
            ("claim_timeout_seconds", json!(0)),
        ] {
            assert!(request_fault(&with(request(), field, value.clone())).is_some(), "{field} {value}");
        }
    }

    #[test]
    fn the_content_of_headers_and_hints_is_never_a_fault() {
        let metadata = json!({"headers": {"retry-after": []}, "backoff_hint": {"seconds": "x"}, "custom": 5});
        assert_eq!(result_fault(&with(result(), "orchestration_metadata", metadata)), None);
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            ".*".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("step_id|status|error|context|name|x", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_json_panics(message in any_json()) {
            let _ = (request_fault(&message), result_fault(&message));
        }

        #[test]
        fn unknown_fields_are_ignored(name in "x[a-z]{1,8}", value in any_json()) {
            prop_assert_eq!(result_fault(&with(result(), &name, value.clone())), None);
            prop_assert_eq!(request_fault(&with(request(), &name, value)), None);
        }
    }
}
