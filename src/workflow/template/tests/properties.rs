//! Properties of whole definitions, over good and mutilated ones.

use super::super::{compile, fields};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Values of any shape, as users put them into metadata.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(|number| json!(number)),
        "\\PC{0,12}".prop_map(Value::from),
        prop::sample::select(vec!["a", "b", "strict", "exponential", "2.0.0-rc.1", ""]).prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        let keys = prop_oneof![known_fields(), "\\PC{0,6}".prop_map(String::from)];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((keys, inner), 0..4).prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

fn known_fields() -> impl Strategy<Value = String> {
    let tables = [fields::Layout::Current, fields::Layout::Older].map(|layout| [layout.definition(), layout.step()]);
    let tables = tables.into_iter().flatten().flat_map(|tables| tables.iter());
    let mut names: Vec<_> = tables.flat_map(|table| table.iter()).map(|field| field.name.to_owned()).collect();
    names.extend(["callable", "max_attempts", "backoff", "initial_delay", "max_duration_minutes"].map(String::from));
    prop::sample::select(names)
}

/// A step that is good, by its index among `count`.
fn good_step(index: usize) -> impl Strategy<Value = Value> {
    let parents = prop::collection::btree_set(0..index.max(1), 0..3);
    let retry = (0..1000u32, 0..86_400_000u64, prop::sample::select(vec!["none", "linear", "fibonacci"]));
    let optional = (prop::option::of(1..604_800u32), any::<bool>(), prop::option::of("[a-zA-Z:]{1,20}"), any_json());
    (parents, retry, optional).prop_map(move |(parents, (attempts, base, backoff), (timeout, skippable, callable, extra))| {
        let parents: Vec<_> = parents.into_iter().filter(|&p| p < index).map(|p| format!("s{p}")).collect();
        json!({
            "name": format!("s{index}"), "depends_on_steps": parents, "timeout_seconds": timeout, "skippable": skippable,
            "handler": {"callable": callable, "initialization": {"extra": extra}},
            "retry": {"max_attempts": attempts, "backoff": backoff, "backoff_base_ms": base},
        })
    })
}

fn good_template() -> impl Strategy<Value = Value> {
    let steps = (1..8usize).prop_flat_map(|count| (0..count).map(good_step).collect::<Vec<_>>());
    (steps, any_json(), prop::option::of(1..1000u32), "\\PC{0,30}").prop_map(|(steps, extra, minutes, description)| {
        json!({
            "name": "t", "namespace_name": "n", "description": description, "metadata": {"extra": extra},
            "lifecycle": {"max_duration_minutes": minutes}, "steps": steps,
        })
    })
}

/// Puts a value somewhere into a template.
fn mutated() -> impl Strategy<Value = Value> {
    (good_template(), any::<prop::sample::Index>(), known_fields(), any_json(), any::<bool>()).prop_map(
        |(mut template, step, field, value, inside)| {
            let steps = template["steps"].as_array().map_or(0, Vec::len);
            let target = if inside { &mut template["steps"][step.index(steps)] } else { &mut template };
            target[field.as_str()] = value;
            template
        },
    )
}

/// A template as people write it, with pieces of the text cut out or replaced.
fn damaged() -> impl Strategy<Value = String> {
    let piece = prop_oneof!["[a-z*&!|>'\"{}\\[\\],:?#%@<\n -]{0,6}", "\\PC{0,6}", Just("\u{0}".to_string())];
    let damage = (any::<prop::sample::Index>(), 0..12usize, piece);
    prop::collection::vec(damage, 1..6).prop_map(|damages| {
        let mut text: Vec<char> =
            include_str!("../../../../examples/templates/order_fulfillment.yaml").chars().collect();
        for (at, length, piece) in damages {
            let from = at.index(text.len());
            let to = text.len().min(from + length);
            text.splice(from..to, piece.chars());
        }
        text.into_iter().collect()
    })
}

// PROPTEST_CASES: how many of each, 256 unless given.
proptest! {
    #[test]
    fn compiling_a_normal_form_changes_nothing(template in good_template()) {
        let first = compile(&template.to_string(), None);
        prop_assert_eq!(&first.faults, &vec![]);
        let definition = first.definition.unwrap();
        let second = compile(&definition.to_string(), Some("production"));
        prop_assert_eq!(Some(definition), second.definition);
        prop_assert_eq!(first.checksum, second.checksum);
    }

    #[test]
    fn no_text_makes_it_panic(text in "\\PC*") {
        compile(&text, Some("production"));
    }

    #[test]
    fn no_yaml_like_text_makes_it_panic(text in "([a-c&*!|>'\"{}\\[\\],:?#%@<-]|- |: |\n|\n  |steps|name|\u{0})*") {
        compile(&text, None);
        compile(&format!("name: t\nsteps:\n  - {text}"), None);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let compilation = compile(&String::from_utf8_lossy(&bytes), None);
        prop_assert!(!compilation.faults.is_empty() && compilation.definition.is_none());
    }

    #[test]
    fn no_damage_makes_it_panic(text in damaged()) {
        let compilation = compile(&text, Some("production"));
        prop_assert_eq!(compilation.faults.is_empty(), compilation.definition.is_some());
    }

    #[test]
    fn no_mutation_makes_it_panic(template in mutated()) {
        let compilation = compile(&template.to_string(), Some("a"));
        prop_assert_eq!(compilation.faults.is_empty(), compilation.definition.is_some());
        prop_assert!(compilation.faults.iter().all(|fault| !fault.path.is_empty() && !fault.path.contains('\0') && !fault.message.contains('\0')));
    }

    #[test]
    fn yaml_and_json_agree(template in good_template()) {
        let yaml = format!("# as flow style\n{template}");
        prop_assert_eq!(compile(&yaml, None).checksum, compile(&template.to_string(), None).checksum);
    }
}
