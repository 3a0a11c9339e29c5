//! JSON Schema: input schemas are compiled at registration, contexts are held against them at request time.
//!
//! Nothing is ever fetched: a reference to anything outside the schema is a fault. Formats are enforced in every draft.
//! Patterns may look around and refer back, within a limit of steps, so that none can hang.

use super::fault::quoted;
use super::parse::parse_json;
use jsonschema::error::ValidationErrorKind;
use jsonschema::{Draft, PatternOptions, ValidationError, Validator};
use serde_json::Value;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

/// Compiled schemas that a backend keeps; when there are more, it starts afresh.
const MAX_CACHED: usize = 256;
/// Faults of one context that are reported.
const MAX_CONTEXT_FAULTS: usize = 100;
/// Characters of one message.
const MAX_MESSAGE_CHARS: usize = 500;
/// Steps back that a pattern may take over one text: a few milliseconds.
const MAX_BACKTRACKS: usize = 100_000;
/// Bytes of one compiled pattern.
const MAX_PATTERN_BYTES: usize = 1 << 20;

thread_local! {
    static COMPILED: RefCell<HashMap<String, Rc<Validator>>> = RefCell::new(HashMap::new());
}

/// The faults of a schema as (JSON pointer into the schema, message); none when it compiles.
pub fn schema_faults(schema: &Value) -> Vec<(String, String)> {
    let Err(error) = compile(schema) else { return Vec::new() };
    let meta: Vec<_> = meta_errors(schema).iter().map(placed).collect();
    if meta.is_empty() { vec![placed_in(schema, &error)] } else { meta }
}

/// Holds a context against a schema, both as JSON text: (JSON pointer into the context, message) for each fault.
///
/// The compiled schema is kept under `cache_key`, which therefore must name its content; then the text of the schema is
/// not read again.
pub fn context_faults(cache_key: &str, schema: &str, context: &str) -> Vec<(String, String)> {
    let validator = match cached(cache_key, schema) {
        Ok(validator) => validator,
        Err(message) => return vec![(String::new(), format!("the input schema cannot be used: {message}"))],
    };
    match parse_json(context) {
        Ok(context) => validator.iter_errors(&context).take(MAX_CONTEXT_FAULTS).map(|error| placed(&error)).collect(),
        Err(message) => vec![(String::new(), message)],
    }
}

fn cached(cache_key: &str, schema: &str) -> Result<Rc<Validator>, String> {
    if let Some(validator) = COMPILED.with_borrow(|compiled| compiled.get(cache_key).cloned()) {
        return Ok(validator);
    }
    let schema = parse_json(schema)?;
    let validator = Rc::new(compile(&schema).map_err(|error| placed_in(&schema, &error).1)?);
    COMPILED.with_borrow_mut(|compiled| {
        if compiled.len() >= MAX_CACHED {
            compiled.clear();
        }
        compiled.insert(cache_key.to_owned(), Rc::clone(&validator));
    });
    Ok(validator)
}

fn compile(schema: &Value) -> Result<Validator, ValidationError<'static>> {
    let patterns = PatternOptions::fancy_regex().backtrack_limit(MAX_BACKTRACKS).size_limit(MAX_PATTERN_BYTES);
    jsonschema::options().offline().should_validate_formats(true).with_pattern_options(patterns).build(schema)
}

/// Everything that the meta-schema of the draft objects to.
fn meta_errors(schema: &Value) -> Vec<ValidationError<'_>> {
    use jsonschema::{draft4, draft6, draft7, draft201909, draft202012};
    let meta = match Draft::default().detect(schema) {
        Draft::Draft4 => draft4::meta::validator(),
        Draft::Draft6 => draft6::meta::validator(),
        Draft::Draft7 => draft7::meta::validator(),
        Draft::Draft201909 => draft201909::meta::validator(),
        Draft::Draft202012 => draft202012::meta::validator(),
        _ => return Vec::new(),
    };
    meta.iter_errors(schema).take(MAX_CONTEXT_FAULTS).map(|error| error.to_owned()).collect()
}

/// The place and the message of an error; what is required stands where it should be.
fn placed(error: &ValidationError) -> (String, String) {
    let at = error.instance_path().as_str();
    let path = match error.kind() {
        ValidationErrorKind::Required { property: Value::String(name) } => format!("{at}/{}", escaped(name)),
        _ => at.to_owned(),
    };
    (path, shortened(&error.to_string()))
}

/// A reference that cannot be resolved has no place of its own: look for it in the schema.
fn placed_in(schema: &Value, error: &ValidationError) -> (String, String) {
    let (path, message) = placed(error);
    let ValidationErrorKind::Referencing(_) = error.kind() else { return (path, message) };
    match outside_reference(schema, &message) {
        Some((path, reference)) => {
            let message = format!("the reference {} is not in the schema, and nothing is fetched", quoted(reference));
            (path, message)
        }
        None => (path, message),
    }
}

/// The first `$ref` whose text the message contains.
fn outside_reference<'v>(schema: &'v Value, message: &str) -> Option<(String, &'v str)> {
    let inside = |segment: String, value: &'v Value| {
        outside_reference(value, message).map(|(path, reference)| (format!("/{segment}{path}"), reference))
    };
    match schema {
        Value::Array(items) => items.iter().enumerate().find_map(|(index, item)| inside(index.to_string(), item)),
        Value::Object(fields) => {
            let own = ["$ref", "$dynamicRef", "$schema"].into_iter().find_map(|key| {
                let reference = fields.get(key).and_then(Value::as_str)?.trim_matches('#');
                (!reference.is_empty() && message.contains(reference)).then(|| (format!("/{key}"), reference))
            });
            own.or_else(|| fields.iter().find_map(|(name, value)| inside(escaped(name), value)))
        }
        _ => None,
    }
}

fn escaped(segment: &str) -> String {
    segment.replace('~', "~0").replace('/', "~1")
}

fn shortened(message: &str) -> String {
    match message.char_indices().nth(MAX_MESSAGE_CHARS) {
        Some((end, _)) => format!("{}...", &message[..end]),
        None => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::time::{Duration, Instant};

    fn faults_of(schema: Value, context: Value) -> Vec<(String, String)> {
        context_faults(&schema.to_string(), &schema.to_string(), &context.to_string())
    }

    fn paths(faults: &[(String, String)]) -> Vec<&str> {
        faults.iter().map(|(path, _)| path.as_str()).collect()
    }

    #[test]
    fn every_fault_of_a_context_has_its_path() {
        let schema = json!({
            "type": "object", "required": ["order"], "additionalProperties": false,
            "properties": {"order": {}, "customer": {"required": ["id/no"], "properties": {"age": {"minimum": 0}}}},
        });
        let faults = faults_of(schema.clone(), json!({"customer": {"age": -1}, "x": 1}));
        let mut found = paths(&faults);
        found.sort_unstable();
        assert_eq!(found, ["", "/customer/age", "/customer/id~1no", "/order"]);
        assert_eq!(faults_of(schema, json!({"order": 1, "customer": {"id/no": 2}})), []);
    }

    #[test]
    fn all_faults_of_a_schema_are_found() {
        let faults =
            schema_faults(&json!({"type": "strin", "properties": {"a": {"minimum": "x"}, "b": {"required": 1}}}));
        let mut found = paths(&faults);
        found.sort_unstable();
        assert_eq!(found, ["/properties/a/minimum", "/properties/b/required", "/type"]);
        assert_eq!(schema_faults(&json!({"$schema": "http://json-schema.org/draft-07/schema#", "type": "object"})), []);
    }

    #[test]
    fn a_reference_to_the_outside_is_a_fault_and_fetches_nothing() {
        for reference in ["https://example.com/a.json", "file:///etc/passwd", "other.json", "#/$defs/missing"] {
            let schema = json!({"properties": {"a": {"items": {"$ref": reference}}}});
            let faults = schema_faults(&schema);
            assert_eq!(faults.len(), 1, "{reference}");
            assert_eq!(faults[0].0, "/properties/a/items/$ref", "{faults:?}");
        }
        assert!(!schema_faults(&json!({"$schema": "https://example.com/meta"})).is_empty());
        let inside = json!({"$defs": {"id": {"type": "integer"}}, "properties": {"a": {"$ref": "#/$defs/id"}}});
        assert_eq!(schema_faults(&inside), []);
    }

    #[test]
    fn a_pattern_that_backtracks_without_end_is_stopped() {
        let schema = json!({"properties": {"a": {"pattern": "^(?=(a+)+$)(a|a)*\\1b$"}}});
        let started = Instant::now();
        let faults = faults_of(schema, json!({"a": "a".repeat(5_000)}));
        assert_eq!(paths(&faults), ["/a"]);
        assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    }

    #[test]
    fn a_pattern_that_is_broken_or_huge_is_a_fault() {
        for pattern in ["(", "((a{1000}){1000}){1000}", "(?<x"] {
            let started = Instant::now();
            assert!(!schema_faults(&json!({"properties": {"a": {"pattern": pattern}}})).is_empty(), "{pattern}");
            assert!(started.elapsed() < Duration::from_secs(2));
        }
    }

    #[test]
    fn a_schema_that_refers_to_itself_ends() {
        for schema in [
            json!({"$ref": "#"}),
            json!({"allOf": [{"$ref": "#"}]}),
            json!({"not": {"$ref": "#"}}),
            json!({"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}),
            json!({"$defs": {"a": {"allOf": [{"$ref": "#/$defs/b"}]}, "b": {"anyOf": [{"$ref": "#/$defs/a"}]}}, "$ref": "#/$defs/a"}),
            json!({"$id": "x", "$dynamicAnchor": "n", "$dynamicRef": "#n"}),
        ] {
            assert_eq!(schema_faults(&schema), [], "{schema}");
            drop(faults_of(schema, json!({"a": {"b": [1]}})));
        }
    }

    #[test]
    fn formats_are_enforced() {
        let schema = json!({"properties": {"mail": {"format": "email"}, "at": {"format": "date-time"}, "n": {"format": "int64"}}});
        let faults = faults_of(schema, json!({"mail": "nobody", "at": "yesterday", "n": "x"}));
        assert_eq!(paths(&faults).len(), 2, "{faults:?}");
    }

    #[test]
    fn a_context_that_cannot_be_read_is_a_fault() {
        let deep = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
        assert_eq!(paths(&context_faults("deep", "{}", &deep)), [""]);
        assert_eq!(paths(&context_faults("huge", "{}", "1e400")), [""]);
    }

    #[test]
    fn the_cache_is_keyed_and_bounded() {
        let wants = |kind: &str| json!({"type": kind}).to_string();
        assert_eq!(context_faults("k", &wants("integer"), "1"), []);
        assert_eq!(context_faults("k", &wants("string"), "1"), []);
        (0..2 * MAX_CACHED).for_each(|key| drop(context_faults(&key.to_string(), &wants("integer"), "1")));
        assert!(COMPILED.with_borrow(HashMap::len) <= MAX_CACHED);
    }

    #[test]
    fn messages_are_short() {
        let faults = faults_of(json!({"type": "integer"}), json!("x".repeat(100_000)));
        assert!(faults[0].1.chars().count() <= MAX_MESSAGE_CHARS + 3);
    }
}
