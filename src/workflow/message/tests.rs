use super::{request_fault, result_fault};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

const NO_UUID: &str = "must be a UUID, not";

fn request() -> Value {
    json!({
        "request_id": "019ab0c2-7b1e-7c55-9d0f-3c1f5a0e8b11", "namespace": "fulfillment", "name": "process_order",
        "version": "1.0.0", "context": {"order": 1}, "priority": 2, "idempotency_key": "A-1",
        "run_at": "2026-11-23T21:12:04.123456+00:00", "correlation_id": "019ab0c27b1e7c559d0f3c1f5a0e8b11",
        "parent_correlation_id": null, "initiator": "web", "source_system": "shop", "reason": "checkout",
        "tags": ["a", "b"], "bypass_steps": [], "claim_timeout_seconds": 60
    })
}

fn result() -> Value {
    json!({
        "step_id": 12345, "task_id": 67890, "attempt": 1, "status": "failure", "result_data": {}, "execution_time_ms": 12,
        "error": {"message": "busy", "error_type": "Busy", "retryable": true, "status_code": 429, "backtrace": null,
            "context": {}},
        "orchestration_metadata": {"headers": {"retry-after": "60"}, "error_context": "...",
            "backoff_hint": {"type": "server_requested", "seconds": 60}, "custom": {}}
    })
}

fn with(mut message: Value, name: &str, value: Value) -> Value {
    message[name] = value;
    message
}

fn request_with(name: &str, value: Value) -> Option<String> {
    request_fault(&with(request(), name, value).to_string())
}

fn result_with(name: &str, value: Value) -> Option<String> {
    result_fault(&with(result(), name, value).to_string())
}

fn said(fault: Option<String>) -> String {
    fault.expect("a fault")
}

#[test]
fn full_and_least_messages_are_good() {
    assert_eq!(request_fault(&request().to_string()), None);
    assert_eq!(request_fault(r#"{"namespace": "a", "name": "b", "context": {}}"#), None);
    assert_eq!(result_fault(&result().to_string()), None);
    assert_eq!(result_fault(r#"{"step_id": 1, "status": "success"}"#), None);
}

#[test]
fn the_older_nested_form_is_good_and_its_faults_are_named_in_place() {
    let nested = |request: Value| {
        json!({"message_type": "task_request", "task_request": request, "message_id": 7, "enqueued_at": "now"})
            .to_string()
    };
    assert_eq!(request_fault(&nested(request())), None);
    let fault = said(request_fault(&nested(json!({"namespace": "a", "context": {}, "tags": [1]}))));
    assert_eq!(fault, "task_request.name is missing; task_request.tags[0] must be a string, not a number");
    assert_eq!(said(request_fault(&nested(json!("x")))), "task_request must be an object, not a string");
}

#[test]
fn a_null_beside_a_flat_request_does_not_make_it_nested() {
    assert_eq!(request_with("task_request", Value::Null), None);
}

#[test]
fn what_is_no_object_is_said_so() {
    for (message, found) in [
        ("[]", "an array"),
        ("null", "null"),
        ("3", "a number"),
        ("1.5", "a number"),
        ("\"x\"", "a string"),
        ("true", "a boolean"),
    ] {
        assert_eq!(said(request_fault(message)), format!("not an object, but {found}"));
        assert_eq!(said(result_fault(message)), format!("not an object, but {found}"));
    }
    assert_eq!(said(result_fault("{")), "cannot be read: EOF while parsing an object at line 1 column 1");
}

#[test]
fn all_faults_are_told_in_the_order_of_the_reference() {
    assert_eq!(said(request_fault("{}")), "namespace is missing; name is missing; context is missing");
    assert_eq!(
        said(result_fault(r#"{"attempt": 0, "status": "sucess", "step_id": "5", "zzz": 1}"#)),
        "step_id must be an integer between 1 and 9223372036854775807, not a string; \
         status \"sucess\" is not known: expected success or failure; \
         attempt must be an integer between 1 and 2147483647, not 0"
    );
}

#[test]
fn null_is_missing() {
    assert_eq!(said(result_with("step_id", Value::Null)), "step_id is missing");
    for name in ["task_id", "attempt", "result_data", "execution_time_ms", "error", "orchestration_metadata"] {
        assert_eq!(result_with(name, Value::Null), None, "{name}");
    }
    assert_eq!(said(request_with("context", Value::Null)), "context is missing");
}

#[test]
fn ids_are_written_as_integers_that_a_bigint_holds() {
    let fault = |id: &str| said(result_fault(&format!(r#"{{"step_id": {id}, "status": "success"}}"#)));
    let expected = "step_id must be an integer between 1 and 9223372036854775807, not";
    for (id, found) in [
        ("5.0", "5.0"),
        ("0", "0"),
        ("-1", "-1"),
        ("9223372036854775808", "9223372036854775808"),
        ("1e20", "1e20"),
        ("true", "a boolean"),
        ("[]", "an array"),
        ("{}", "an object"),
    ] {
        assert_eq!(fault(id), format!("{expected} {found}"));
    }
    assert_eq!(result_with("step_id", json!(i64::MAX)), None);
}

#[test]
fn status_is_understood_in_any_letter_case() {
    for status in ["success", "Completed", "FAILURE", "failed", "Error", "timed_out"] {
        assert_eq!(result_with("status", json!(status)), None, "{status}");
    }
    assert_eq!(
        said(result_with("status", json!(" success"))),
        "status \" success\" is not known: expected success or failure"
    );
    assert_eq!(said(result_with("status", json!(1))), "status must be a string, not a number");
}

#[test]
fn numbers_stay_in_their_ranges() {
    assert_eq!(result_with("execution_time_ms", json!(0.25)), None);
    assert_eq!(result_with("execution_time_ms", json!(1u64 << 53)), None);
    assert!(result_with("execution_time_ms", json!((1u64 << 53) + 2)).is_some());
    assert_eq!(
        said(result_with("execution_time_ms", json!(-0.5))),
        "execution_time_ms must be a number between 0 and 9007199254740992, not -0.5"
    );
    assert_eq!(said(request_with("priority", json!(5))), "priority must be an integer between 0 and 4, not 5");
    assert!(request_with("claim_timeout_seconds", json!(0)).is_some());
    assert!(request_with("claim_timeout_seconds", json!(86_401)).is_some());
}

#[test]
fn an_idempotency_key_has_1_to_512_characters() {
    assert_eq!(request_with("idempotency_key", json!("é".repeat(512))), None);
    assert_eq!(
        said(request_with("idempotency_key", json!("é".repeat(513)))),
        "idempotency_key must be a string of 1 to 512 characters, not of 513"
    );
    assert!(request_with("idempotency_key", json!("")).is_some());
}

#[test]
fn uuids_are_those_that_postgres_reads_too() {
    for bad in ["", "x", "urn:uuid:019ab0c2-7b1e-7c55-9d0f-3c1f5a0e8b11", "{019ab0c2-7b1e-7c55-9d0f-3c1f5a0e8b11}"] {
        assert_eq!(said(request_with("correlation_id", json!(bad))), format!("correlation_id {NO_UUID} {bad:?}"));
    }
    assert_eq!(said(request_with("request_id", json!(1))), "request_id must be a UUID, not a number");
}

#[test]
fn timestamps_are_those_that_postgres_reads_too() {
    for good in [
        "2026-01-01T00:00:00Z",
        "2026-01-01t00:00:00z",
        "2026-01-01T23:59:60+15:59",
        "9999-12-31T23:59:59.999999999-15:59",
    ] {
        assert_eq!(request_with("run_at", json!(good)), None, "{good}");
    }
    let endless = format!("2026-01-01T00:00:00.{}Z", "1".repeat(200));
    for bad in
        ["tomorrow", "2026-01-01", "2026-01-01T00:00:00", "0000-01-01T00:00:00Z", "2026-01-01T00:00:00+16:00", &endless]
    {
        assert!(said(request_with("run_at", json!(bad))).starts_with("run_at must be an RFC 3339 timestamp, not \""));
    }
}

#[test]
fn lists_hold_strings_only() {
    assert_eq!(
        said(request_with("tags", json!(["a", 1, null, ["b"]]))),
        "tags[1] must be a string, not a number; tags[2] must be a string, not null; tags[3] must be a string, not an array"
    );
    assert_eq!(
        said(request_with("bypass_steps", json!("a"))),
        "bypass_steps must be an array of strings, not a string"
    );
}

#[test]
fn an_error_is_an_object_or_its_message() {
    assert_eq!(result_with("error", json!("no space left")), None);
    assert_eq!(result_with("error", json!({})), None);
    assert_eq!(said(result_with("error", json!([]))), "error must be an object or a string, not an array");
    assert_eq!(
        said(result_with("error", json!({"message": 1, "retryable": "no", "status_code": 4.5}))),
        "error.message must be a string, not a number; error.retryable must be a boolean, not a string; \
         error.status_code must be an integer between -2147483648 and 2147483647, not 4.5"
    );
}

#[test]
fn what_headers_and_hints_hold_is_no_fault() {
    let metadata =
        json!({"headers": {"retry-after": [null]}, "backoff_hint": {"seconds": "x"}, "custom": 1, "other": 2});
    assert_eq!(result_with("orchestration_metadata", metadata), None);
    assert_eq!(
        said(result_with("orchestration_metadata", json!({"headers": [], "backoff_hint": 5}))),
        "orchestration_metadata.headers must be an object, not an array; \
         orchestration_metadata.backoff_hint must be an object, not a number"
    );
}

#[test]
fn content_that_only_jsonb_can_hold_is_no_fault() {
    let deep = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
    for content in [deep.as_str(), "1e999", r#"{"a": -1e999}"#] {
        let result = format!(
            r#"{{"step_id": 1, "status": "success", "result_data": {content}, "unknown": {content},
                "error": {{"context": {content}}}, "orchestration_metadata": {{"headers": {{"a": {content}}}}}}}"#
        );
        assert_eq!(result_fault(&result), None);
        let context = format!(r#"{{"namespace": "a", "name": "b", "context": {{"a": {content}}}}}"#);
        assert_eq!(request_fault(&context), None);
        assert!(request_fault(&format!(r#"{{"namespace": "a", "name": "b", "context": [{content}]}}"#)).is_some());
    }
    assert_eq!(
        said(result_fault(r#"{"step_id": 1e999, "status": "success"}"#)),
        "cannot be read: the value of step_id: number out of range at line 1 column 17"
    );
}

#[test]
fn long_and_wild_texts_are_cut_and_kept_on_one_line() {
    let fault = said(result_with("status", json!("a\nb".repeat(1_000))));
    assert!(fault.len() < 200 && !fault.contains('\n'), "{fault}");
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        let name = prop_oneof![known_name(), "\\PC{0,6}"];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((name, inner), 0..6)
                .prop_map(|fields| Value::from(fields.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

fn known_name() -> impl Strategy<Value = String> {
    let names: Vec<String> = [request(), result(), json!({"task_request": 1, "message": 1, "headers": 1})]
        .iter()
        .flat_map(|message| message.as_object().expect("an object").keys().cloned().collect::<Vec<_>>())
        .collect();
    prop::sample::select(names)
}

proptest! {
    #[test]
    fn any_json_gets_a_verdict(value in any_json()) {
        let text = value.to_string();
        prop_assert!(value.is_object() || request_fault(&text).is_some() && result_fault(&text).is_some());
        prop_assert!(request_fault(&text).is_none_or(|fault| !fault.contains("cannot be read")));
        prop_assert!(result_fault(&text).is_none_or(|fault| !fault.contains("cannot be read")));
    }

    #[test]
    fn any_text_gets_a_verdict(text in "\\PC*") {
        prop_assert!(request_fault(&text).is_some());
        prop_assert!(result_fault(&text).is_some());
    }

    #[test]
    fn unknown_fields_are_ignored(extra in prop::collection::vec(("x_\\PC{0,8}", any_json()), 0..6)) {
        let (mut request, mut result) = (request(), result());
        for (name, value) in extra {
            request[&name] = value.clone();
            result["error"][&name] = value.clone();
            result["orchestration_metadata"][&name] = value.clone();
            result[&name] = value;
        }
        prop_assert_eq!(request_fault(&request.to_string()), None);
        prop_assert_eq!(result_fault(&result.to_string()), None);
    }

    #[test]
    fn a_field_of_any_content_is_judged_alone(name in known_name(), value in any_json()) {
        let faults = [request_with(&name, value.clone()), result_with(&name, value)];
        for fault in faults.into_iter().flatten() {
            prop_assert!(fault.starts_with(&name), "{}", fault);
        }
    }
}
