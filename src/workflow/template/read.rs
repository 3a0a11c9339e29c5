//! Walks a definition by the tables of `fields` into a [`Part`]: only what was given, under the keys of the normal form.

use super::fault::{Faults, Place, quoted};
use super::fields::{Field, Layout, Rule, Tables};
use super::normal::{Part, StepPart};
use super::{MAX_STEPS, legacy, rules, validate};
use serde_json::{Map, Value};
use std::collections::HashMap;

/// The index of every step by its name.
pub type Names<'v> = HashMap<&'v str, usize>;

type Object = Map<String, Value>;

/// Reads a whole definition and the overrides of all its environments.
pub fn definition(object: &Object, faults: &mut Faults) -> (Part, Vec<(String, Part)>) {
    let layout = legacy::layout(object, faults);
    let list = step_list(object, layout, faults);
    let names = validate::step_names(list, &Place::Root.field(layout.steps_field()), faults);
    let base = base(object, list, layout, &names, faults);
    let overrides = environments(object, layout, &names, faults);
    for (name, part) in &overrides {
        if part.steps.values().any(|step| step.parents.is_some()) && faults.is_empty() {
            let environments = Place::Root.field("environments");
            let merged = base.overridden_by(part);
            validate::acyclic(&merged, list, &environments.field(name).field(layout.steps_field()), faults);
        }
    }
    (base, overrides)
}

fn base(object: &Object, list: &[Value], layout: Layout, names: &Names, faults: &mut Faults) -> Part {
    let mut base = Part::default();
    fields(object, layout.definition(), &Place::Root, "", &mut base.fields, faults);
    required(object, &["name", "namespace_name"], &Place::Root, faults);
    let at = Place::Root.field(layout.steps_field());
    for (index, value) in list.iter().enumerate() {
        let step = step(value, layout, &at.item(index), names, faults);
        base.steps.extend(step.map(|step| (index, step)));
    }
    validate::acyclic(&base, list, &at, faults);
    let schema_field =
        if base.has("input_schema") && object.contains_key("schema") { "schema" } else { "input_schema" };
    validate::input_schema(&base, &Place::Root.field(schema_field), faults);
    if layout == Layout::Older {
        legacy::check_named_steps(object, &names.keys().copied().collect(), faults);
    }
    base
}

/// The list of steps, empty after a fault.
fn step_list<'v>(object: &'v Object, layout: Layout, faults: &mut Faults) -> &'v [Value] {
    let at = Place::Root.field(layout.steps_field());
    match object.get(layout.steps_field()) {
        None | Some(Value::Null) => faults.add(&at, "is required"),
        Some(Value::Array(list)) if list.is_empty() => faults.add(&at, "must have at least one step"),
        Some(Value::Array(list)) if list.len() > MAX_STEPS => {
            faults.add(&at, format!("must have at most {MAX_STEPS} steps, not {}", list.len()));
        }
        Some(Value::Array(list)) => return list,
        Some(other) => rules::wrong_type(&at, "a list of steps", other, faults),
    }
    &[]
}

fn step(value: &Value, layout: Layout, at: &Place, names: &Names, faults: &mut Faults) -> Option<StepPart> {
    let Value::Object(object) = value else {
        rules::wrong_type(at, "a mapping", value, faults);
        return None;
    };
    let mut step = StepPart::default();
    fields(object, layout.step(), at, "", &mut step.fields, faults);
    required(object, &["name"], at, faults);
    step.parents = validate::dependencies(object, at, names, faults);
    Some(step)
}

fn environments(object: &Object, layout: Layout, names: &Names, faults: &mut Faults) -> Vec<(String, Part)> {
    let at = Place::Root.field("environments");
    match object.get("environments") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Object(environments)) => environments
            .iter()
            .filter_map(|(name, value)| {
                environment(value, layout, &at.field(name), names, faults).map(|part| (name.clone(), part))
            })
            .collect(),
        Some(other) => {
            rules::wrong_type(&at, "a mapping of environments", other, faults);
            Vec::new()
        }
    }
}

fn environment(value: &Value, layout: Layout, at: &Place, names: &Names, faults: &mut Faults) -> Option<Part> {
    let object = match value {
        Value::Null => return None,
        Value::Object(object) => object,
        other => {
            rules::wrong_type(at, "a mapping", other, faults);
            return None;
        }
    };
    let mut part = Part::default();
    fields(object, layout.overrides(), at, "", &mut part.fields, faults);
    for field in ["name", "namespace_name"].into_iter().filter(|field| object.get(*field) == Some(&Value::Null)) {
        faults.add(&at.field(field), "must not be null");
    }
    override_steps(object, layout, at, names, &mut part, faults);
    Some(part)
}

/// The steps of an override are matched by name.
fn override_steps(object: &Object, layout: Layout, at: &Place, names: &Names, part: &mut Part, faults: &mut Faults) {
    let at = at.field(layout.steps_field());
    let list = match object.get(layout.steps_field()) {
        None | Some(Value::Null) => return,
        Some(Value::Array(list)) => list,
        Some(other) => return rules::wrong_type(&at, "a list of steps", other, faults),
    };
    for (index, value) in list.iter().enumerate() {
        let at = at.item(index);
        let Some(step) = step(value, layout, &at, names, faults) else { continue };
        let Some(name) = value.get("name").and_then(Value::as_str) else { continue };
        match names.get(name) {
            None => faults_unknown_step(name, &at.field("name"), names, faults),
            Some(&index) if part.steps.contains_key(&index) => {
                faults.add(&at.field("name"), format!("step {} is overridden twice", quoted(name)));
            }
            Some(&index) => drop(part.steps.insert(index, step)),
        }
    }
}

fn faults_unknown_step(name: &str, at: &Place, names: &Names, faults: &mut Faults) {
    let hint = faults.did_you_mean(name, names.keys().copied());
    faults.add(at, format!("the template has no step {}{hint}", quoted(name)));
}

/// Adds a fault for each of `names` that is missing or null.
fn required(object: &Object, names: &[&str], at: &Place, faults: &mut Faults) {
    for name in names.iter().filter(|name| object.get(**name).is_none_or(Value::is_null)) {
        faults.add(&at.field(name), "is required");
    }
}

/// Reads the fields of one mapping into `part`, or into a section of it.
fn fields(object: &Object, tables: Tables, at: &Place, section: &str, part: &mut Object, faults: &mut Faults) {
    for (name, value) in object {
        let at = at.field(name);
        match tables.iter().flat_map(|table| table.iter()).find(|field| field.name == name) {
            Some(known) => field(known, value, &at, section, part, faults),
            None => unknown_field(name, tables, &at, faults),
        }
    }
}

fn field(field: &Field, value: &Value, at: &Place, section: &str, part: &mut Object, faults: &mut Faults) {
    let section = if field.section.is_empty() { section } else { field.section };
    match &field.rule {
        Rule::Ignored | Rule::Elsewhere => {}
        Rule::Empty if rules::is_empty(value) => {}
        Rule::Empty => faults.add(at, rules::NOT_SUPPORTED_YET),
        Rule::Section(known, shorthand) => self::section(field.key, known, *shorthand, value, at, part, faults),
        Rule::Value(_) if value.is_null() => put(part, section, field.key, Value::Null, at, faults),
        Rule::Value(check) => {
            if let Some(kept) = check(value, at, faults) {
                put(part, section, field.key, kept, at, faults);
            }
        }
    }
}

fn section(
    name: &'static str,
    known: &'static [Field],
    shorthand: Option<&str>,
    value: &Value,
    at: &Place,
    part: &mut Object,
    faults: &mut Faults,
) {
    let short = known.iter().find(|field| Some(field.name) == shorthand);
    match (value, short) {
        (Value::Null, _) => drop(part.entry(name).or_insert(Value::Null)),
        (Value::Object(object), _) => known_fields(object, known, at, name, part, faults),
        (Value::String(_), Some(short)) => field(short, value, at, name, part, faults),
        (other, Some(_)) => rules::wrong_type(at, "a mapping or a text", other, faults),
        (other, None) => rules::wrong_type(at, "a mapping", other, faults),
    }
}

fn known_fields(
    object: &Object,
    known: &'static [Field],
    at: &Place,
    section: &str,
    part: &mut Object,
    faults: &mut Faults,
) {
    for (name, value) in object {
        let at = at.field(name);
        match known.iter().find(|field| field.name == name) {
            Some(known) => field(known, value, &at, section, part, faults),
            None => unknown(name, &known.iter().map(|field| field.name).collect::<Vec<_>>(), &at, faults),
        }
    }
}

fn unknown_field(name: &str, tables: Tables, at: &Place, faults: &mut Faults) {
    if legacy::knows(name) {
        return faults
            .add(at, format!("unknown field {}: it belongs to the older layout, with step_templates", quoted(name)));
    }
    let known: Vec<_> = tables.iter().flat_map(|table| table.iter()).map(|field| field.name).collect();
    unknown(name, &known, at, faults);
}

fn unknown(name: &str, known: &[&str], at: &Place, faults: &mut Faults) {
    let hint = match faults.nearest(name, known.iter().copied()) {
        Some(nearest) => format!("; did you mean {}?", quoted(nearest)),
        None => format!("; known here: {}", known.join(", ")),
    };
    faults.add(at, format!("unknown field {}{hint}", quoted(name)));
}

/// Keeps a value; two spellings of the same thing must agree, null says nothing.
fn put(part: &mut Object, section: &str, key: &str, value: Value, at: &Place, faults: &mut Faults) {
    let target = if section.is_empty() { Some(part) } else { open_section(part, section) };
    let Some(target) = target else { return };
    match target.get(key) {
        Some(before) if !before.is_null() && !value.is_null() && *before != value => {
            let dot = if section.is_empty() { "" } else { "." };
            faults.add(
                at,
                format!("another field gives {section}{dot}{key} another value: {}", rules::described(before)),
            );
        }
        Some(before) if !before.is_null() => {}
        _ => drop(target.insert(key.to_owned(), value)),
    }
}

fn open_section<'p>(part: &'p mut Object, section: &str) -> Option<&'p mut Object> {
    let entry = part.entry(section).or_insert(Value::Null);
    if entry.is_null() {
        *entry = Value::Object(Map::new());
    }
    entry.as_object_mut()
}
