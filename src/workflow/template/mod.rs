//! Templates: from YAML or JSON text to the normal form that the database keeps.
//!
//! [`compile`] reads the text (`parse`), walks it by tables of known fields (`fields`, `read`, `rules`, and `legacy` for
//! the older layout), holds names and dependencies against each other (`validate`, `dag`), applies the overrides of
//! an environment and fills in the defaults (`normal`). Every fault is collected with its place (`fault`); nothing here
//! raises or touches the server. `schema` compiles `input_schema` and holds contexts against it, `version` orders
//! versions, and `sql` makes both callable.

mod dag;
mod fault;
mod fields;
mod legacy;
mod normal;
mod parse;
mod read;
mod rules;
mod schema;
mod sql;
mod validate;
mod version;

#[cfg(test)]
mod tests;

pub use fault::Fault;
pub use schema::context_faults;
pub use version::version_key;

use fault::{Faults, Place};
use normal::Part;
use serde::Serialize;
use serde_json::{Map, Value};

/// Bytes that a definition may have as text, and in normal form.
pub const MAX_DEFINITION_BYTES: usize = 10 * 1024 * 1024;
/// Levels of lists and mappings inside each other, in definitions and in contexts.
pub const MAX_DEPTH: usize = 64;
/// Steps of one template.
pub const MAX_STEPS: usize = 10_000;

/// What [`compile`] found. With faults there are only faults; without, everything else is there.
#[derive(Debug, Serialize)]
pub struct Compilation {
    /// All faults of the definition, in the order in which they were found.
    pub faults: Vec<Fault>,
    /// The normal form: every key present, itself a valid definition with the same normal form.
    pub definition: Option<Value>,
    /// SHA-256 in hex over the canonical JSON (sorted keys, no white space) of the normal form.
    pub checksum: Option<String>,
    /// Sorts bytewise as the versions do by semantic precedence.
    pub version_key: Option<String>,
    /// The DAG by step index.
    pub compiled: Option<Compiled>,
}

/// The DAG of a template.
#[derive(Debug, Serialize)]
pub struct Compiled {
    pub steps: Vec<CompiledStep>,
}

/// One node: `level` is the length of the longest path from a root, `parents` are indexes in ascending order.
#[derive(Debug, Serialize)]
pub struct CompiledStep {
    pub index: usize,
    pub name: String,
    pub level: usize,
    pub parents: Vec<usize>,
}

/// Compiles a template definition, YAML or JSON, with the overrides of `environment` when the template has some for it.
pub fn compile(definition: &str, environment: Option<&str>) -> Compilation {
    let mut faults = Faults::default();
    let template = resolve(definition, environment, &mut faults);
    let good = template.and_then(|template| finish(template, &mut faults));
    match good {
        Some(good) if faults.is_empty() => good,
        _ => rejected(faults),
    }
}

fn rejected(faults: Faults) -> Compilation {
    Compilation { faults: faults.into_list(), definition: None, checksum: None, version_key: None, compiled: None }
}

/// The definition with the environment's overrides, if it is free of faults.
fn resolve(definition: &str, environment: Option<&str>, faults: &mut Faults) -> Option<Part> {
    let object = parse_object(definition, faults)?;
    let (base, overrides) = read::definition(&object, faults);
    if !faults.is_empty() {
        return None;
    }
    let chosen = overrides.into_iter().find(|(name, _)| Some(name.as_str()) == environment);
    let Some((name, part)) = chosen else { return Some(base) };
    let merged = base.overridden_by(&part);
    if part.has("input_schema") {
        let environments = Place::Root.field("environments");
        validate::input_schema(&merged, &environments.field(&name).field("input_schema"), faults);
    }
    Some(merged)
}

fn parse_object(definition: &str, faults: &mut Faults) -> Option<Map<String, Value>> {
    match parse::parse(definition) {
        Ok(Value::Object(object)) => Some(object),
        Ok(other) => {
            faults.add(&Place::Root, format!("a definition must be a mapping, not {}", rules::described(&other)));
            None
        }
        Err(message) => {
            faults.add(&Place::Root, message);
            None
        }
    }
}

fn finish(template: Part, faults: &mut Faults) -> Option<Compilation> {
    let steps = template.compiled_steps()?;
    let version_key = version_key(template.text("version").unwrap_or(normal::DEFAULT_VERSION)).ok()?;
    let definition = template.into_normal_form();
    let canonical = normal::canonical(&definition);
    within_limits(&definition, &canonical, faults);
    validate::staleness(&definition, faults);
    Some(Compilation {
        faults: Vec::new(),
        definition: Some(definition),
        checksum: Some(normal::checksum(&canonical)),
        version_key: Some(version_key),
        compiled: Some(Compiled { steps }),
    })
}

/// Overrides, aliases and older names can make the normal form bigger than the text was.
fn within_limits(definition: &Value, canonical: &str, faults: &mut Faults) {
    if canonical.len() > MAX_DEFINITION_BYTES {
        let message = format!("has {} bytes in normal form, more than {MAX_DEFINITION_BYTES}", canonical.len());
        faults.add(&Place::Root, message);
    }
    if normal::depth(definition) > MAX_DEPTH {
        faults.add(&Place::Root, parse::too_deep());
    }
}
