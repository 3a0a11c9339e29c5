//! Text to value: JSON when the text starts with `{`, YAML 1.2 otherwise.
//!
//! Both go through one visitor that refuses duplicate keys, deep nesting, NUL characters (jsonb has none) and documents
//! that aliases blow up, and that writes numbers as jsonb will give them back.

use super::fault::quoted;
use super::{MAX_DEFINITION_BYTES, MAX_DEPTH};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::cell::Cell;
use std::fmt;

/// Values that a document may have once its aliases are expanded. 10,000 steps with every field have about 400,000.
const MAX_VALUES: usize = 2_000_000;
/// Bytes of text that a document may have once its aliases are expanded.
const MAX_EXPANDED_BYTES: usize = 4 * MAX_DEFINITION_BYTES;
/// From here on serde_json writes an exponent, which jsonb gives back as an integer.
const EXPONENT_FROM: f64 = 1e15;

/// Parses a definition. The message of an error tells the line and the column.
pub fn parse(text: &str) -> Result<Value, String> {
    if text.len() > MAX_DEFINITION_BYTES {
        return Err(format!("the definition has {} bytes, more than {MAX_DEFINITION_BYTES}", text.len()));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if is_json(text) { parse_json(text) } else { parse_yaml(text) }
}

/// A brace and then a quoted key, or nothing: JSON. YAML in flow style begins with a brace too, and seldom quotes.
fn is_json(text: &str) -> bool {
    let inside = text.trim_start().strip_prefix('{').map(str::trim_start);
    inside.is_some_and(|inside| inside.is_empty() || inside.starts_with(['"', '}']))
}

/// Parses JSON text under the limits of this module.
pub fn parse_json(text: &str) -> Result<Value, String> {
    let budget = Budget::default();
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = Node::root(&budget).deserialize(&mut deserializer);
    let value = value.and_then(|value| deserializer.end().map(|()| value));
    value.map_err(|error| format!("cannot be read as JSON: {error}"))
}

fn parse_yaml(text: &str) -> Result<Value, String> {
    let budget = Budget::default();
    let read = serde_saphyr::with_deserializer_from_str_with_options(text, yaml_options(), |deserializer| {
        Node::root(&budget).deserialize(deserializer)
    });
    read.map_err(|error| yaml_message(&error))
}

fn yaml_message(error: &serde_saphyr::Error) -> String {
    let message = match error {
        serde_saphyr::Error::DuplicateMappingKey { key: Some(key), .. } => format!("duplicate key {}", quoted(key)),
        serde_saphyr::Error::DuplicateMappingKey { .. } => "duplicate key".to_owned(),
        serde_saphyr::Error::RecursiveReferencesRequireWeakTypes { .. } => "an alias inside its own anchor".to_owned(),
        other => other.to_string(),
    };
    match error.location() {
        Some(at) if !message.contains(" at line ") => {
            format!("cannot be read as YAML: {message} at line {}, column {}", at.line(), at.column())
        }
        _ => format!("cannot be read as YAML: {message}"),
    }
}

/// What limits the size of the result is our own budget; the parser's limits only have to end. Numbers that are
/// not finite are passed through to our visitor, which refuses them.
fn yaml_options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_events: 4 * MAX_VALUES,
            max_nodes: 2 * MAX_VALUES,
            max_aliases: MAX_VALUES,
            max_anchors: MAX_VALUES,
            max_depth: 4 * MAX_DEPTH,
            max_merge_keys: MAX_VALUES,
            max_documents: 1,
            enforce_alias_anchor_ratio: false,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: 4 * MAX_VALUES,
        },
        duplicate_keys: serde_saphyr::options::DuplicateKeyPolicy::Error,
        non_finite_float_policy: serde_saphyr::options::NonFiniteFloatPolicy::PassThrough,
        reject_unsupported_tags: true,
        strict_booleans: true,
        underscored_numbers_as_strings: true,
        with_snippet: false,
    }
}

/// The fault of a value that is nested too deep.
pub fn too_deep() -> String {
    format!("lists and mappings are nested more than {MAX_DEPTH} levels deep")
}

/// What a document may still use.
struct Budget {
    values: Cell<usize>,
    bytes: Cell<usize>,
}

impl Default for Budget {
    fn default() -> Self {
        Budget { values: Cell::new(MAX_VALUES), bytes: Cell::new(MAX_EXPANDED_BYTES) }
    }
}

impl Budget {
    fn spend<E: Error>(&self, bytes: usize) -> Result<(), E> {
        let left = self.values.get().checked_sub(1).zip(self.bytes.get().checked_sub(bytes));
        let (values, bytes) =
            left.ok_or_else(|| E::custom("the document is too large once its aliases are expanded"))?;
        self.values.set(values);
        self.bytes.set(bytes);
        Ok(())
    }

    fn spend_text<E: Error>(&self, text: &str) -> Result<(), E> {
        if text.contains('\0') {
            return Err(E::custom("text cannot contain the character U+0000"));
        }
        self.spend(text.len())
    }
}

/// Reads one value at a depth.
#[derive(Clone, Copy)]
struct Node<'b> {
    budget: &'b Budget,
    depth: usize,
}

impl<'b> Node<'b> {
    fn root(budget: &'b Budget) -> Self {
        Node { budget, depth: 0 }
    }

    fn inner<E: Error>(self) -> Result<Self, E> {
        self.budget.spend(0)?;
        if self.depth == MAX_DEPTH { Err(E::custom(too_deep())) } else { Ok(Node { depth: self.depth + 1, ..self }) }
    }

    fn number<E: Error>(self, number: impl Into<Number>) -> Result<Value, E> {
        self.budget.spend(0)?;
        Ok(Value::Number(number.into()))
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a value that JSON can express")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        self.budget.spend(0)?;
        Ok(Value::Null)
    }

    fn visit_none<E: Error>(self) -> Result<Value, E> {
        self.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.deserialize(deserializer)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        self.budget.spend(0)?;
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        self.number(value)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        self.number(value)
    }

    fn visit_i128<E: Error>(self, value: i128) -> Result<Value, E> {
        self.visit_f64(value as f64)
    }

    fn visit_u128<E: Error>(self, value: u128) -> Result<Value, E> {
        self.visit_f64(value as f64)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        let number = number_of(value).ok_or_else(|| E::custom("a number must be finite"))?;
        self.number(number)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        self.visit_string(value.to_owned())
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        self.budget.spend_text(&value)?;
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(inner)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            self.budget.spend_text(&key)?;
            if map.contains_key(&key) {
                return Err(A::Error::custom(format!("duplicate key {}", quoted(&key))));
            }
            map.insert(key, entries.next_value_seed(inner)?);
        }
        Ok(Value::Object(map))
    }
}

/// The number that jsonb gives back for this one: no negative zero, no exponent where an integer can stand.
fn number_of(value: f64) -> Option<Number> {
    let whole = value.fract() == 0.0 && value.abs() >= EXPONENT_FROM;
    if value == 0.0 {
        Number::from_f64(0.0)
    } else if whole && value > 0.0 && value < u64::MAX as f64 {
        Some((value as u64).into())
    } else if whole && value < 0.0 && value > i64::MIN as f64 {
        Some((value as i64).into())
    } else {
        Number::from_f64(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fault(text: &str) -> String {
        parse(text).expect_err("should not parse")
    }

    #[test]
    fn what_starts_with_a_brace_is_json_or_yaml_in_flow_style() {
        assert_eq!(parse(" \n{\"a\": 1}").unwrap(), json!({"a": 1}));
        assert_eq!(parse("{a: 1, b: [x]}").unwrap(), json!({"a": 1, "b": ["x"]}));
        assert!(fault("{\"a\": }").starts_with("cannot be read as JSON"));
        assert!(fault("{} x").contains("trailing"), "{}", fault("{} x"));
    }

    #[test]
    fn a_syntax_error_tells_line_and_column() {
        let json = fault("{\n  \"a\": 1,\n  ]}");
        assert!(json.contains("line 3 column 3"), "{json}");
        let yaml = fault("a: 1\nb: [1, 2\nc: 3\n");
        assert!(yaml.contains("line ") && yaml.contains("column "), "{yaml}");
    }

    #[test]
    fn a_duplicate_key_is_refused() {
        let yaml = fault("a: 1\nb: 2\na: 3\n");
        assert!(yaml.contains("duplicate key \"a\"") && yaml.contains("line "), "{yaml}");
        assert!(fault("{\"a\": 1, \"a\": 2}").contains("duplicate key \"a\""));
    }

    #[test]
    fn booleans_are_those_of_yaml_1_2() {
        let value = parse("a: true\nb: yes\nc: off\nd: False\ne: n").unwrap();
        assert_eq!(value, json!({"a": true, "b": "yes", "c": "off", "d": false, "e": "n"}));
    }

    #[test]
    fn scalars_keep_their_meaning() {
        let value = parse("a: 1.0.0\nb: 1.0\nc: ~\nd: '5'\ne: 0x10\nf: 2025-01-01\ng:\n5: x\nh: 1_000").unwrap();
        let expected = json!({"a": "1.0.0", "b": 1.0, "c": null, "d": "5", "e": 16, "f": "2025-01-01", "g": null,
            "5": "x", "h": "1_000"});
        assert_eq!(value, expected);
    }

    #[test]
    fn anchors_and_merge_keys_are_expanded() {
        let value = parse("base: &b {x: 1}\none: *b\ntwo: {<<: *b, y: 2}").unwrap();
        assert_eq!(value, json!({"base": {"x": 1}, "one": {"x": 1}, "two": {"x": 1, "y": 2}}));
    }

    #[test]
    fn one_anchor_may_serve_ten_thousand_steps() {
        let uses: String = (0..10_000).map(|i| format!("s{i}: *r\n")).collect();
        assert!(parse(&format!("r: &r {{a: 1, b: 2}}\n{uses}")).is_ok());
    }

    /// Unrefused it would be 10^12 nodes: the test would not end.
    #[test]
    fn an_alias_bomb_is_refused() {
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for i in 1..12 {
            let previous = vec![format!("*a{}", i - 1); 10].join(", ");
            bomb.push_str(&format!("a{i}: &a{i} [{previous}]\n"));
        }
        assert!(parse(&bomb).is_err());
        let long = "y".repeat(1 << 20);
        let wide = format!("a: &a {long}\nb: [{}]\n", vec!["*a"; 1000].join(", "));
        assert!(parse(&wide).is_err());
    }

    #[test]
    fn nesting_is_limited_in_both_languages() {
        let nested = |levels: usize| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
        assert!(parse(&format!("a: {}", nested(MAX_DEPTH - 1))).is_ok());
        assert!(fault(&format!("a: {}", nested(MAX_DEPTH))).contains("64 levels"));
        assert!(fault(&format!("{{\"a\": {}}}", nested(MAX_DEPTH))).contains("64 levels"));
        assert!(parse(&nested(1_000_000)).is_err());
        assert!(parse(&format!("{{\"a\": {}", "[".repeat(1_000_000))).is_err());
        assert!(parse(&"- ".repeat(100_000)).is_err());
    }

    #[test]
    fn nul_is_refused_everywhere() {
        assert!(fault("{\"a\": \"x\\u0000\"}").contains("U+0000"));
        assert!(fault("{\"x\\u0000\": 1}").contains("U+0000"));
        assert!(fault("a: \"x\\0\"").contains("U+0000"));
    }

    #[test]
    fn numbers_survive_jsonb() {
        let text = |number: &str| parse(&format!("{{\"a\": {number}}}")).unwrap()["a"].to_string();
        assert_eq!(text("-0.0"), "0.0");
        assert_eq!(text("1e16"), "10000000000000000");
        assert_eq!(text("-1e16"), "-10000000000000000");
        assert_eq!(text("1e14"), "100000000000000.0");
        assert_eq!(text("1.50"), "1.5");
        assert!(fault("{\"a\": 1e999}").contains("number"));
        assert!(fault("a: .nan").contains("must be finite"));
        assert!(fault("a: -.inf").contains("must be finite"));
    }

    #[test]
    fn an_empty_text_is_null() {
        assert_eq!(parse("").unwrap(), Value::Null);
        assert_eq!(parse("# nothing\n").unwrap(), Value::Null);
    }

    #[test]
    fn a_tag_that_yaml_does_not_know_is_refused() {
        assert!(parse("a: !secret x").is_err());
        assert_eq!(parse("a: !!str 5").unwrap(), json!({"a": "5"}));
    }

    #[test]
    fn a_second_document_is_refused() {
        assert!(parse("a: 1\n---\nb: 2\n").is_err());
        assert!(parse("---\na: 1\n").is_ok());
    }
}
