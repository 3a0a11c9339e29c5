//! What SQL calls. Both are pure, so they may run anywhere, in parallel workers too.

use pgrx::prelude::*;
use serde_json::json;

use crate::process::encoding::{Jsonb, Text};

/// Compiles a template definition, YAML or JSON, for an environment (or none). Never raises for a bad definition:
/// `{"faults": [{"path", "message"}], "definition", "checksum", "version_key", "compiled"}`, with all but the faults
/// null when there are any. No definition at all is a fault too.
#[pg_extern(immutable, parallel_safe)]
fn _compile_template(definition: Option<Text>, environment: Option<Text>) -> Jsonb {
    let [definition, environment] = [&definition, &environment].map(|text| text.as_ref().map(|text| text.0.as_str()));
    let compilation = super::compile(definition.unwrap_or_default(), environment);
    Jsonb(serde_json::to_value(compilation).unwrap_or_else(|error| {
        let fault = json!({"path": "", "message": format!("the definition cannot be written as JSON: {error}")});
        json!({"faults": [fault], "definition": null, "checksum": null, "version_key": null, "compiled": null})
    }))
}

/// Holds a context against a schema: one row for each fault, `path` being a JSON pointer into the context ("" is the
/// whole). The compiled schema is kept per backend under `cache_key`, which must name its content.
///
/// Both documents come as text: pgrx turns jsonb that serde_json cannot read (nested deeper than 128 levels, numbers
/// beyond a double) into an internal error, and here it has to be a fault of the context.
#[pg_extern(immutable, parallel_safe)]
fn _context_faults_of_text(
    cache_key: Text,
    schema: Text,
    context: Text,
) -> TableIterator<'static, (name!(path, Text), name!(message, Text))> {
    let faults: Vec<_> = super::context_faults(&cache_key.0, &schema.0, &context.0).into_iter().collect();
    TableIterator::new(faults.into_iter().map(|(path, message)| (Text(path), Text(message))))
}
