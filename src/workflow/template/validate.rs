//! What holds between steps: names are unique, dependencies exist and form no cycle; and the input schema compiles.

use super::fault::{Faults, Place, quoted};
use super::fields::DEPENDENCY_FIELDS;
use super::normal::Part;
use super::read::Names;
use super::{dag, rules, schema};
use serde_json::{Map, Value};
use std::collections::{BTreeSet, HashSet};

/// Steps of a cycle that a message names before it leaves out the middle.
const CYCLE_STEPS_SHOWN: usize = 20;

/// What is stuck leaves a dead letter, or is not looked for: a definition that asks for anything else is refused.
pub fn staleness(definition: &Value, faults: &mut Faults) {
    let lifecycle = &definition["lifecycle"];
    let at = Place::Root;
    let at = at.field("lifecycle");
    if lifecycle["auto_dlq_on_timeout"] == false && lifecycle["staleness_action"] != "none" {
        let hint = "staleness_action \"none\" looks for nothing";
        faults
            .add(&at.field("auto_dlq_on_timeout"), format!("must be true: what is stuck leaves a dead letter; {hint}"));
    }
    for field in ["auto_dlq_on_timeout", "auto_fail_on_timeout"] {
        if lifecycle[field] == true && lifecycle["staleness_action"] == "none" {
            faults.add(&at.field(field), "must not be true where staleness_action is \"none\"");
        }
    }
}

/// Indexes the steps by name; a name that is given twice is a fault.
pub fn step_names<'v>(list: &'v [Value], at: &Place, faults: &mut Faults) -> Names<'v> {
    let mut names = Names::with_capacity(list.len());
    for (index, step) in list.iter().enumerate() {
        let Some(name) = name_of(step) else { continue };
        match names.get(name) {
            Some(first) => faults.add(
                &at.item(index).field("name"),
                format!("step name {} is already that of {}", quoted(name), at.item(*first)),
            ),
            None => drop(names.insert(name, index)),
        }
    }
    names
}

fn name_of(step: &Value) -> Option<&str> {
    step.get("name").and_then(Value::as_str)
}

/// The parents of a step by index, ascending, united over all spellings; nothing when none is given.
pub fn dependencies(step: &Map<String, Value>, at: &Place, names: &Names, faults: &mut Faults) -> Option<Vec<usize>> {
    let own = step.get("name").and_then(Value::as_str);
    let mut given = false;
    let mut parents = BTreeSet::new();
    for field in DEPENDENCY_FIELDS {
        let Some(value) = step.get(field) else { continue };
        given = true;
        dependency_list(value, own, &at.field(field), names, &mut parents, faults);
    }
    given.then(|| parents.into_iter().collect())
}

fn dependency_list(
    value: &Value,
    own: Option<&str>,
    at: &Place,
    names: &Names,
    parents: &mut BTreeSet<usize>,
    faults: &mut Faults,
) {
    let mut seen = HashSet::new();
    match value {
        Value::Null => {}
        Value::String(name) => parents.extend(dependency(name, own, at, names, faults)),
        Value::Array(list) => {
            for (index, item) in list.iter().enumerate() {
                let at = at.item(index);
                match item.as_str() {
                    None => rules::wrong_type(&at, "the name of a step", item, faults),
                    Some(name) if !seen.insert(name) => {
                        faults.add(&at, format!("{} is named twice", quoted(name)));
                    }
                    Some(name) => parents.extend(dependency(name, own, &at, names, faults)),
                }
            }
        }
        other => rules::wrong_type(at, "a step name or a list of them", other, faults),
    }
}

fn dependency(name: &str, own: Option<&str>, at: &Place, names: &Names, faults: &mut Faults) -> Option<usize> {
    if own == Some(name) {
        faults.add(at, format!("step {} cannot depend on itself", quoted(name)));
        return None;
    }
    let index = names.get(name).copied();
    if index.is_none() {
        let hint = faults.did_you_mean(name, names.keys().copied());
        faults.add(at, format!("there is no step {}{hint}", quoted(name)));
    }
    index
}

/// Adds a fault for every cycle: `the dependencies form a cycle: a -> b -> a`, in the order of execution.
pub fn acyclic(part: &Part, list: &[Value], at: &Place, faults: &mut Faults) {
    let parents: Vec<Vec<usize>> = (0..list.len()).map(|index| part.parents(index).to_vec()).collect();
    for cycle in dag::cycles(&parents) {
        let names: Vec<_> = cycle
            .into_iter()
            .map(|index| rules::shown(list.get(index).and_then(name_of).unwrap_or_default()))
            .collect();
        faults.add(at, format!("the dependencies form a cycle: {}", arrows(&names)));
    }
}

fn arrows(names: &[String]) -> String {
    if names.len() <= CYCLE_STEPS_SHOWN + 1 {
        return names.join(" -> ");
    }
    let (start, rest) = names.split_at(CYCLE_STEPS_SHOWN / 2);
    let (middle, end) = rest.split_at(rest.len() - CYCLE_STEPS_SHOWN / 2);
    format!("{} -> ... {} more ... -> {}", start.join(" -> "), middle.len(), end.join(" -> "))
}

/// Compiles the input schema, if there is one; its faults are placed inside it.
pub fn input_schema(part: &Part, at: &Place, faults: &mut Faults) {
    let Some(schema) = part.fields.get("input_schema").filter(|schema| !schema.is_null()) else { return };
    for (pointer, message) in schema::schema_faults(schema) {
        add_inside(at, &pointer, message, faults);
    }
}

/// Adds a fault at a JSON pointer below a place.
fn add_inside(at: &Place, pointer: &str, message: String, faults: &mut Faults) {
    match pointer.strip_prefix('/') {
        None => faults.add(at, message),
        Some(rest) => {
            let (segment, rest) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            let name = segment.replace("~1", "/").replace("~0", "~");
            match segment.parse() {
                Ok(index) => add_inside(&at.item(index), rest, message, faults),
                Err(_) => add_inside(&at.field(&name), rest, message, faults),
            }
        }
    }
}
