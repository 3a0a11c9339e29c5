//! What there is none of nearly always, and what else need not be asked by a statement: a look into an index costs a tenth of
//! one.

use std::ffi::CStr;

use pgrx::pg_sys::{Datum, Oid};
use pgrx::prelude::*;

use super::table::read::{Equal, last};
use super::values::value;

/// Whether an index has an entry, for a row that is there, with this in its first column.
unsafe fn any(table: &CStr, index: &CStr, first: Option<(Oid, Datum)>) -> bool {
    // SAFETY: the caller knows the column.
    unsafe { last(table, index, first, []).is_some() }
}

/// Whether a task is claimed by an orchestrator outside.
#[pg_extern(stable)]
fn _any_claims() -> bool {
    any_claims()
}

pub fn any_claims() -> bool {
    // SAFETY: in a statement, as everywhere below.
    unsafe { any(c"claims", c"claims_pkey", None) }
}

/// Whether any template asks for events.
#[pg_extern(stable)]
fn _any_events() -> bool {
    any_events()
}

pub fn any_events() -> bool {
    // SAFETY: the index holds just those.
    unsafe { any(c"task_templates", c"task_templates_with_events", None) }
}

/// Whether events are held back, as somebody holds their queue.
#[pg_extern(stable)]
fn _any_held_events() -> bool {
    // SAFETY: see above.
    unsafe { any(c"held_events", c"held_events_pkey", None) }
}

/// Whether any task is known as stuck.
pub fn any_stuck() -> bool {
    // SAFETY: the index holds the open letters, by their reasons.
    unsafe { any(c"dead_letters", c"dead_letters_open", "stuck".into_datum().map(|reason| (Equal::TEXT, reason))) }
}

/// Whether anything waits in a namespace that nobody has claimed.
pub fn anything_waits(namespace_id: i64) -> bool {
    // SAFETY: the index holds what nobody has claimed, by namespace.
    unsafe { any(c"waiting", c"waiting_in_order", Some((Equal::BIGINT, namespace_id.into()))) }
}

/// Whether a template of a namespace has a limit of its own.
pub fn any_limited_template(namespace_id: i64) -> bool {
    // SAFETY: the index holds just those, by namespace.
    unsafe { any(c"task_templates", c"task_templates_limited", Some((Equal::BIGINT, namespace_id.into()))) }
}

/// The id of a namespace; NULL for an unknown one.
#[pg_extern(stable, strict)]
fn _find_namespace(name: &str) -> Option<i64> {
    // SAFETY: the index is by name, and the column a bigint.
    unsafe {
        let name = name.into_datum().map(|name| (Equal::TEXT, name));
        let [id] = last(c"namespaces", c"namespaces_name_is_unique", name, [c"namespace_id"])?;
        value(id)
    }
}
