//! What single values may hold.

use super::fault::{Faults, Place, quoted};
use super::version::parse_version;
use serde_json::{Number, Value};

/// Characters of a template's or step's name.
pub const MAX_NAME_CHARS: usize = 128;
/// Characters of a description.
pub const MAX_DESCRIPTION_CHARS: usize = 4_096;
/// Characters of a handler's callable, method and resolver.
pub const MAX_SHORT_TEXT_CHARS: usize = 1_024;
/// Characters of a namespace: `{namespace}_queue` has to fit where pgmq keeps it.
pub const MAX_NAMESPACE_CHARS: usize = 29;
/// Tries of one step.
pub const MAX_ATTEMPTS: u64 = 1_000;
/// A day, the longest delay between two tries.
pub const MAX_BACKOFF_MS: u64 = 86_400_000;
/// A week, the longest time that one attempt may take.
pub const MAX_TIMEOUT_SECONDS: u64 = 7 * 86_400;
/// Ten years, the longest life of a task.
pub const MAX_DURATION_MINUTES: u64 = 10 * 366 * 24 * 60;
/// Steps of one template that may be in flight.
pub const MAX_IN_FLIGHT: u64 = 1_000_000;

const IDENTITY_STRATEGIES: &[&str] = &["always_unique", "caller_provided", "strict"];
const ON_FAILURE: &[&str] = &["continue", "fail_fast"];
const STALENESS_ACTIONS: &[&str] = &["dlq", "error", "none"];
const BACKOFFS: &[&str] = &["none", "linear", "exponential", "fibonacci"];
const TASK_EVENTS: &[&str] = &["completed", "failed", "cancelled"];
const STEP_EVENTS: &[&str] = &["completed", "failed"];
const STEP_TYPES: &[&str] = &["standard"];
/// Step types that tasker users know.
const STEP_TYPES_TO_COME: &[&str] =
    &["decision", "decision_point", "deferred", "deferred_convergence", "batchable", "batch_worker"];

/// The fault of what we know and do not honour.
pub const NOT_SUPPORTED_YET: &str = "is not supported yet";

/// A value as a message names it.
pub fn described(value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => format!("the number {number}"),
        Value::String(text) => format!("the text {}", quoted(text)),
        Value::Array(_) => "a list".into(),
        Value::Object(_) => "a mapping".into(),
    }
}

/// Adds the fault of a value of the wrong type: `must be a list, not the number 5`.
pub fn wrong_type(at: &Place, expected: &str, value: &Value, faults: &mut Faults) {
    faults.add(at, format!("must be {expected}, not {}", described(value)));
}

/// Whether a value holds nothing.
pub fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

/// Whether a text can name a template or a step: a letter, then letters, digits, `_`, `.` and `-`.
pub fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    let follows = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic()) && bytes.all(follows) && text.len() <= MAX_NAME_CHARS
}

/// A text as it is when it is a good name, in quotes when not.
pub fn shown(name: &str) -> String {
    if is_name(name) { name.to_owned() } else { quoted(name) }
}

fn is_namespace(text: &str) -> bool {
    let mut bytes = text.bytes();
    let follows = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    bytes.next().is_some_and(|first| first.is_ascii_lowercase())
        && bytes.all(follows)
        && text.len() <= MAX_NAMESPACE_CHARS
}

fn text<'v>(value: &'v Value, at: &Place, faults: &mut Faults) -> Option<&'v str> {
    if value.as_str().is_none() {
        wrong_type(at, "a text", value, faults);
    }
    value.as_str()
}

fn kept<T>(value: Option<T>) -> Option<Value>
where
    Value: From<T>,
{
    value.map(Value::from)
}

/// `value` if it holds, else the fault.
fn holding(
    value: &Value,
    holds: bool,
    at: &Place,
    faults: &mut Faults,
    message: impl FnOnce() -> String,
) -> Option<Value> {
    if !holds {
        faults.add(at, message());
    }
    holds.then(|| value.clone())
}

pub fn name(value: &Value, at: &Place, faults: &mut Faults) -> Option<Value> {
    let name = text(value, at, faults)?;
    holding(value, is_name(name), at, faults, || {
        let rule = "must be 1 to 128 characters, a letter first, then letters, digits, \"_\", \".\" and \"-\"";
        format!("{rule}, not {}", quoted(name))
    })
}

pub fn namespace(value: &Value, at: &Place, faults: &mut Faults) -> Option<Value> {
    let name = text(value, at, faults)?;
    holding(value, is_namespace(name), at, faults, || {
        let rule = "must be 1 to 29 characters, a lower case letter first, then lower case letters, digits and \"_\"";
        format!("{rule}, not {}", quoted(name))
    })
}

pub fn version(value: &Value, at: &Place, faults: &mut Faults) -> Option<Value> {
    let Value::String(version) = value else {
        wrong_type(at, "a text such as \"1.0.0\"", value, faults);
        return None;
    };
    match parse_version(version) {
        Ok(version) => Some(version.to_string().into()),
        Err(message) => {
            faults.add(at, format!("{} {message}", quoted(version)));
            None
        }
    }
}

fn text_up_to(max: usize, value: &Value, at: &Place, faults: &mut Faults) -> Option<Value> {
    let text = text(value, at, faults)?;
    holding(value, text.chars().nth(max).is_none(), at, faults, || {
        format!("must have at most {max} characters, not {}", text.chars().count())
    })
}

pub fn description(value: &Value, at: &Place, faults: &mut Faults) -> Option<Value> {
    text_up_to(MAX_DESCRIPTION_CHARS, value, at, faults)
}

pub fn short_text(value: &Value, at: &Place, faults: &mut Faults) -> Option<Value> {
    if value.as_str() == Some("") {
        faults.add(at, "must not be empty");
        return None;
    }
    text_up_to(MAX_SHORT_TEXT_CHARS, value, at, faults)
}

pub fn mapping(value: &Value, at: &Place, faults: &mut Faults) -> Option<Value> {
    if !value.is_object() {
        wrong_type(at, "a mapping", value, faults);
    }
    value.is_object().then(|| value.clone())
}

pub fn boolean(value: &Value, at: &Place, faults: &mut Faults) -> Option<Value> {
    if !value.is_boolean() {
        wrong_type(at, "true or false", value, faults);
    }
    kept(value.as_bool())
}

fn integer(least: u64, most: u64, value: &Value, at: &Place, faults: &mut Faults) -> Option<Value> {
    match value.as_u64() {
        Some(number) if (least..=most).contains(&number) => Some(number.into()),
        _ => {
            wrong_type(at, &format!("an integer from {least} to {most}"), value, faults);
            None
        }
    }
}

pub fn duration_minutes(value: &Value, at: &Place, faults: &mut Faults) -> Option<Value> {
    integer(1, MAX_DURATION_MINUTES, value, at, faults)
}

pub fn attempts(value: &Value, at: &Place, faults: &mut Faults) -> Option<Value> {
    integer(0, MAX_ATTEMPTS, value, at, faults)
}

pub fn milliseconds(value: &Value, at: &Place, faults: &mut Faults) -> Option<Value> {
    integer(0, MAX_BACKOFF_MS, value, at, faults)
}

/// Seconds, fractions allowed, as milliseconds.
pub fn seconds(value: &Value, at: &Place, faults: &mut Faults) -> Option<Value> {
    let longest = MAX_BACKOFF_MS as f64 / 1000.0;
    match value.as_f64() {
        Some(seconds) if (0.0..=longest).contains(&seconds) => {
            Some(Number::from((seconds * 1000.0).round() as u64).into())
        }
        _ => {
            wrong_type(at, &format!("a number of seconds from 0 to {longest}"), value, faults);
            None
        }
    }
}

pub fn timeout(value: &Value, at: &Place, faults: &mut Faults) -> Option<Value> {
    integer(1, MAX_TIMEOUT_SECONDS, value, at, faults)
}

pub fn max_in_flight(value: &Value, at: &Place, faults: &mut Faults) -> Option<Value> {
    integer(1, MAX_IN_FLIGHT, value, at, faults)
}

fn one_of(known: &[&'static str], value: &Value, at: &Place, faults: &mut Faults) -> Option<Value> {
    let text = text(value, at, faults)?;
    if known.contains(&text) {
        return Some(value.clone());
    }
    let hint = faults.did_you_mean(text, known.iter().copied());
    faults.add(at, format!("must be {}, not {}{hint}", known.join(", "), quoted(text)));
    None
}

pub fn identity_strategy(value: &Value, at: &Place, faults: &mut Faults) -> Option<Value> {
    one_of(IDENTITY_STRATEGIES, value, at, faults)
}

pub fn on_failure(value: &Value, at: &Place, faults: &mut Faults) -> Option<Value> {
    one_of(ON_FAILURE, value, at, faults)
}

pub fn staleness_action(value: &Value, at: &Place, faults: &mut Faults) -> Option<Value> {
    one_of(STALENESS_ACTIONS, value, at, faults)
}

pub fn backoff(value: &Value, at: &Place, faults: &mut Faults) -> Option<Value> {
    one_of(BACKOFFS, value, at, faults)
}

pub fn step_type(value: &Value, at: &Place, faults: &mut Faults) -> Option<Value> {
    if value.as_str().is_some_and(|text| STEP_TYPES_TO_COME.contains(&text)) {
        faults.add(at, format!("{} {NOT_SUPPORTED_YET}; only \"standard\" is", described(value)));
        return None;
    }
    one_of(STEP_TYPES, value, at, faults)
}

pub fn task_events(value: &Value, at: &Place, faults: &mut Faults) -> Option<Value> {
    events(TASK_EVENTS, value, at, faults)
}

pub fn step_events(value: &Value, at: &Place, faults: &mut Faults) -> Option<Value> {
    events(STEP_EVENTS, value, at, faults)
}

/// A list of events, in the normal form without repetition and in the order in which we know them.
fn events(known: &[&'static str], value: &Value, at: &Place, faults: &mut Faults) -> Option<Value> {
    let Value::Array(items) = value else {
        wrong_type(at, "a list of events", value, faults);
        return None;
    };
    let mut good = true;
    for (index, item) in items.iter().enumerate() {
        good &= one_of(known, item, &at.item(index), faults).is_some();
    }
    let wanted: Vec<_> = known.iter().filter(|event| items.iter().any(|item| item == **event)).copied().collect();
    good.then(|| Value::from(wanted))
}

#[cfg(test)]
mod tests {
    use super::super::fields::Check;
    use super::*;
    use serde_json::json;

    fn checked(check: Check, value: Value) -> Result<Value, String> {
        let mut faults = Faults::default();
        let kept = check(&value, &Place::Root, &mut faults);
        kept.ok_or_else(|| faults.into_list().remove(0).message)
    }

    #[test]
    fn names_begin_with_a_letter_and_have_at_most_128_characters() {
        for good in ["a", "A.b-c_9", &"x".repeat(MAX_NAME_CHARS)] {
            assert_eq!(checked(name, json!(good)), Ok(json!(good)));
        }
        for bad in ["", "1a", "_a", "a b", "ä", "a/b", "a\n", &"x".repeat(MAX_NAME_CHARS + 1)] {
            assert!(checked(name, json!(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn namespaces_fit_into_a_queue_name() {
        for good in ["a", "shop_2", &"x".repeat(MAX_NAMESPACE_CHARS)] {
            assert_eq!(checked(namespace, json!(good)), Ok(json!(good)));
        }
        for bad in ["", "Shop", "2a", "a-b", &"x".repeat(MAX_NAMESPACE_CHARS + 1)] {
            assert!(checked(namespace, json!(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn numbers_stay_in_their_range() {
        assert_eq!(checked(attempts, json!(0)), Ok(json!(0)));
        assert_eq!(checked(attempts, json!(1000)), Ok(json!(1000)));
        assert_eq!(checked(milliseconds, json!(86_400_000)), Ok(json!(86_400_000)));
        assert_eq!(checked(timeout, json!(604_800)), Ok(json!(604_800)));
        for (check, bad) in [
            (attempts as Check, json!(1001)),
            (attempts, json!(-1)),
            (attempts, json!(1.5)),
            (attempts, json!("3")),
            (milliseconds, json!(86_400_001)),
            (timeout, json!(0)),
            (timeout, json!(604_801)),
            (duration_minutes, json!(0)),
            (seconds, json!(-0.1)),
            (seconds, json!(86_401)),
        ] {
            assert!(checked(check, bad.clone()).is_err(), "{bad}");
        }
    }

    #[test]
    fn seconds_become_milliseconds() {
        assert_eq!(checked(seconds, json!(1.5)), Ok(json!(1500)));
        assert_eq!(checked(seconds, json!(5)), Ok(json!(5000)));
    }

    #[test]
    fn a_wrong_type_is_named_with_the_value() {
        assert_eq!(checked(boolean, json!("yes")), Err("must be true or false, not the text \"yes\"".into()));
        assert_eq!(checked(version, json!(1.0)), Err("must be a text such as \"1.0.0\", not the number 1.0".into()));
    }

    #[test]
    fn a_misspelt_choice_is_answered_with_the_nearest() {
        let message = checked(backoff, json!("exponental")).unwrap_err();
        assert!(message.ends_with("not \"exponental\"; did you mean \"exponential\"?"), "{message}");
    }

    #[test]
    fn step_types_to_come_are_known() {
        assert!(checked(step_type, json!("decision")).unwrap_err().contains(NOT_SUPPORTED_YET));
        assert!(checked(step_type, json!("standart")).unwrap_err().contains("did you mean \"standard\"?"));
    }

    #[test]
    fn events_are_those_we_know_and_limits_are_positive() {
        assert_eq!(checked(task_events, json!([])), Ok(json!([])));
        assert!(checked(task_events, json!(["started"])).unwrap_err().starts_with("must be completed"));
        assert!(checked(step_events, json!(["failed"])).is_ok());
        assert!(checked(max_in_flight, json!(5)).is_ok());
        assert!(checked(max_in_flight, json!(0)).unwrap_err().starts_with("must be an integer"));
    }
}
