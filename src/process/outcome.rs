//! How attempts have ended, between the functions that find that out and those that act upon it.

use pgrx::pg_sys::Datum;
use pgrx::prelude::*;

use super::values::value;

/// How an attempt has ended.
pub struct Outcome {
    pub step_id: i64,
    pub template_id: i64,
    pub namespace_id: i64,
    pub success: bool,
    /// An integer.
    pub attempt: Option<Datum>,
    /// A text.
    pub from_state: Option<Datum>,
    /// A jsonb, as the others.
    pub results: Option<Datum>,
    pub error: Option<Datum>,
    pub metadata: Option<Datum>,
    /// An integer.
    pub took_ms: Option<Datum>,
}

impl Outcome {
    /// As a row of type `_outcome`.
    pub fn columns(&self) -> [Option<Datum>; 10] {
        [
            self.step_id.into_datum(),
            self.attempt,
            self.from_state,
            self.namespace_id.into_datum(),
            self.template_id.into_datum(),
            self.success.into_datum(),
            self.results,
            self.error,
            self.metadata,
            self.took_ms,
        ]
    }

    /// # Safety
    /// The columns of such a row.
    pub unsafe fn of(columns: [Option<Datum>; 10]) -> Option<Outcome> {
        let [step_id, attempt, from_state, namespace_id, template_id, success, results, error, metadata, took_ms] =
            columns;
        // SAFETY: see above.
        unsafe {
            Some(Outcome {
                step_id: value(step_id)?,
                template_id: value(template_id)?,
                namespace_id: value(namespace_id)?,
                success: value(success)?,
                attempt,
                from_state,
                results,
                error,
                metadata,
                took_ms,
            })
        }
    }
}
