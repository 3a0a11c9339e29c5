//! From what a definition says to the normal form: overrides applied, defaults filled in, hashed.

use super::{CompiledStep, dag};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// The version of a template that names none.
pub const DEFAULT_VERSION: &str = "1.0.0";
/// Mappings of the normal form that have fixed fields; all others are the user's own and kept as they are.
const SECTIONS: &[&str] = &["lifecycle", "limits", "events", "handler", "retry"];

type Object = Map<String, Value>;

/// What a definition, or the override of an environment, says, under the keys of the normal form. Null means: the
/// default. Steps are counted as the template counts them.
#[derive(Clone, Default)]
pub struct Part {
    pub fields: Object,
    pub steps: BTreeMap<usize, StepPart>,
}

/// The same for a step; `parents` are indexes in ascending order.
#[derive(Clone, Default)]
pub struct StepPart {
    pub fields: Object,
    pub parents: Option<Vec<usize>>,
}

impl Part {
    /// Whether it says anything but null about a field.
    pub fn has(&self, field: &str) -> bool {
        self.fields.get(field).is_some_and(|value| !value.is_null())
    }

    pub fn text(&self, field: &str) -> Option<&str> {
        self.fields.get(field).and_then(Value::as_str)
    }

    /// The parents of a step, by index.
    pub fn parents(&self, step: usize) -> &[usize] {
        self.steps.get(&step).and_then(|step| step.parents.as_deref()).unwrap_or_default()
    }

    /// This part with what `other` says put over it: mappings are united, everything else is replaced.
    pub fn overridden_by(&self, other: &Part) -> Part {
        let mut merged = self.clone();
        override_object(&mut merged.fields, &other.fields);
        for (index, over) in &other.steps {
            let step = merged.steps.entry(*index).or_default();
            override_object(&mut step.fields, &over.fields);
            if over.parents.is_some() {
                step.parents.clone_from(&over.parents);
            }
        }
        merged
    }

    /// The DAG, or nothing when it has a cycle.
    pub fn compiled_steps(&self) -> Option<Vec<CompiledStep>> {
        let parents: Vec<Vec<usize>> = self.steps.keys().map(|&index| self.parents(index).to_vec()).collect();
        let levels = dag::levels(&parents)?;
        let names = self.names().into_iter();
        let steps = names.zip(levels).zip(parents).enumerate();
        Some(steps.map(|(index, ((name, level), parents))| CompiledStep { index, name, level, parents }).collect())
    }

    fn names(&self) -> Vec<String> {
        let name = |step: &StepPart| step.fields.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
        self.steps.values().map(name).collect()
    }

    /// Every key present, but for what `lifecycle` says of staleness: that is there only where it was given, since the
    /// checksums of definitions that say nothing of it must not change.
    pub fn into_normal_form(self) -> Value {
        let names = self.names();
        let steps = self.steps.into_values().map(|step| step.into_normal_form(&names)).collect();
        let mut template = filled(template_defaults(), self.fields);
        template.insert("steps".to_owned(), Value::Array(steps));
        Value::Object(template)
    }
}

impl StepPart {
    fn into_normal_form(self, names: &[String]) -> Value {
        let parents = self.parents.unwrap_or_default();
        let dependencies: Vec<_> = parents.into_iter().filter_map(|parent| names.get(parent)).cloned().collect();
        let mut step = filled(step_defaults(), self.fields);
        step.insert("dependencies".to_owned(), Value::from(dependencies));
        Value::Object(step)
    }
}

fn override_object(base: &mut Object, over: &Object) {
    for (key, value) in over {
        match (base.get_mut(key), value) {
            (Some(Value::Object(base)), Value::Object(over)) => override_object(base, over),
            _ => drop(base.insert(key.clone(), value.clone())),
        }
    }
}

fn template_defaults() -> Value {
    json!({
        "namespace_name": null, "name": null, "version": DEFAULT_VERSION, "description": null, "metadata": {},
        "input_schema": null, "default_context": {}, "identity_strategy": "always_unique", "on_failure": "continue",
        "lifecycle": {"max_duration_minutes": null}, "limits": {"max_in_flight": null},
        "events": {"task": [], "step": []},
    })
}

fn step_defaults() -> Value {
    json!({
        "name": null, "description": null, "type": "standard", "timeout_seconds": null, "skippable": false,
        "handler": {"callable": null, "method": null, "resolver": null, "initialization": {}},
        "retry": {
            "retryable": true, "max_attempts": 3, "backoff": "exponential", "backoff_base_ms": 1000, "max_backoff_ms": null,
        },
    })
}

/// The defaults with everything that is given put in.
fn filled(defaults: Value, given: Object) -> Object {
    let Value::Object(mut filled) = defaults else { return given };
    for (key, value) in given {
        match value {
            Value::Null => {}
            Value::Object(section) if SECTIONS.contains(&key.as_str()) => {
                let defaults = filled.remove(&key).unwrap_or_default();
                filled.insert(key, Value::Object(self::filled(defaults, section)));
            }
            value => drop(filled.insert(key, value)),
        }
    }
    filled
}

/// JSON with sorted keys and no white space.
pub fn canonical(value: &Value) -> String {
    let mut text = String::new();
    write_canonical(value, &mut text);
    text
}

fn write_canonical(value: &Value, text: &mut String) {
    match value {
        Value::Array(items) => {
            write_list(items.iter(), "[]", text, write_canonical);
        }
        Value::Object(fields) => {
            let sorted: BTreeMap<_, _> = fields.iter().collect();
            write_list(sorted.into_iter(), "{}", text, |(key, value), text| {
                text.push_str(&Value::from(key.as_str()).to_string());
                text.push(':');
                write_canonical(value, text);
            });
        }
        scalar => text.push_str(&scalar.to_string()),
    }
}

fn write_list<T>(items: impl Iterator<Item = T>, brackets: &str, text: &mut String, write: impl Fn(T, &mut String)) {
    let (open, close) = brackets.split_at(1);
    text.push_str(open);
    for (index, item) in items.enumerate() {
        if index > 0 {
            text.push(',');
        }
        write(item, text);
    }
    text.push_str(close);
}

/// SHA-256 in hex.
pub fn checksum(canonical: &str) -> String {
    Sha256::digest(canonical.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Levels of lists and mappings inside each other.
pub fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_json_has_sorted_keys_and_no_white_space() {
        let value: Value = serde_json::from_str(r#"{"b": [1, {"z": null, "a": "x\n"}], "a": {}}"#).unwrap();
        assert_eq!(canonical(&value), r#"{"a":{},"b":[1,{"a":"x\n","z":null}]}"#);
    }

    #[test]
    fn the_checksum_is_sha256_in_hex() {
        assert_eq!(checksum(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }

    #[test]
    fn depth_counts_lists_and_mappings() {
        assert_eq!(depth(&json!(1)), 0);
        assert_eq!(depth(&json!([])), 1);
        assert_eq!(depth(&json!({"a": [1, {"b": 2}]})), 3);
    }
}
