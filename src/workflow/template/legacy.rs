//! The older layout: `named_steps` lists the names, `step_templates` describes the steps, `schema` is the input schema.

use super::fault::{Faults, Place, quoted};
use super::fields::{Field, Layout, Rule};
use super::rules;
use serde_json::{Map, Value};
use std::collections::HashSet;

/// Fields that only the older layout has beside its steps.
pub const TEMPLATE: &[Field] = &[
    Field::new("step_templates", Rule::Elsewhere),
    Field::alias("schema", "", "input_schema", rules::mapping),
    Field::new("task_handler_class", Rule::Ignored),
    Field::new("module_namespace", Rule::Ignored),
    Field::new("default_dependent_system", Rule::Ignored),
    Field::new("concurrent", Rule::Ignored),
];

/// The list of names stands in the definition itself only, not in overrides.
pub const NAMED_STEPS: &[Field] = &[Field::new("named_steps", Rule::Elsewhere)];

/// Fields that only a step of the older layout has.
pub const STEP: &[Field] = &[Field::new("dependent_system", Rule::Ignored)];

/// Which layout a definition has; a mixture of both is a fault.
pub fn layout(object: &Map<String, Value>, faults: &mut Faults) -> Layout {
    let older = ["step_templates", "named_steps"].into_iter().find(|field| object.contains_key(*field));
    match older {
        None => Layout::Current,
        Some(field) if object.contains_key("steps") => {
            let message =
                format!("belongs to the older layout and cannot stand beside \"steps\"; keep one of {field} and steps");
            faults.add(&Place::Root.field(field), message);
            Layout::Current
        }
        Some(_) => Layout::Older,
    }
}

/// Whether a field that is unknown here would be known in the older layout.
pub fn knows(field: &str) -> bool {
    [TEMPLATE, NAMED_STEPS, STEP].iter().any(|table| table.iter().any(|known| known.name == field))
}

/// `named_steps`, where given, must name the steps of `step_templates`, all of them and no others.
pub fn check_named_steps(object: &Map<String, Value>, steps: &HashSet<&str>, faults: &mut Faults) {
    let at = Place::Root.field("named_steps");
    let named = match object.get("named_steps") {
        None | Some(Value::Null) => return,
        Some(Value::Array(named)) => named,
        Some(other) => return rules::wrong_type(&at, "a list of step names", other, faults),
    };
    let mut seen = HashSet::new();
    for (index, name) in named.iter().enumerate() {
        check_named_step(name, &at.item(index), steps, &mut seen, faults);
    }
    let mut missing: Vec<_> = steps.difference(&seen).collect();
    missing.sort_unstable();
    for name in missing {
        faults.add(&at, format!("lacks {}, which step_templates describes", quoted(name)));
    }
}

fn check_named_step<'v>(
    name: &'v Value,
    at: &Place,
    steps: &HashSet<&str>,
    seen: &mut HashSet<&'v str>,
    faults: &mut Faults,
) {
    let Some(name) = name.as_str() else {
        return rules::wrong_type(at, "the name of a step", name, faults);
    };
    if !seen.insert(name) {
        faults.add(at, format!("{} is named twice", quoted(name)));
    } else if !steps.contains(name) {
        let hint = faults.did_you_mean(name, steps.iter().copied());
        faults.add(at, format!("step_templates has no step {}{hint}", quoted(name)));
    }
}
