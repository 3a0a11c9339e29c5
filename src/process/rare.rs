//! What there is none of nearly always, and what else need not be asked by a statement: a look into an index costs a tenth of
//! one.

use std::ffi::{CStr, CString};
use std::iter::successors;

use pgrx::fcinfo::pg_getarg_datum;
use pgrx::pg_sys::{Datum, FunctionCallInfo};
use pgrx::prelude::*;

use super::table::index::{End, List, Operator, at_end, is_index_by};
use super::values::value;

/// Whether an index has an entry, for a row that is there, whose first columns compare like that.
unsafe fn any(table: &CStr, index: &CStr, conditions: &[(Operator, Datum)]) -> bool {
    // SAFETY: the caller knows the columns.
    unsafe { at_end(End::Last, (c"tasker", table), index, conditions, []).is_some() }
}

/// Whether a task is claimed by an orchestrator outside.
#[pg_extern(stable)]
pub fn _any_claims() -> bool {
    // SAFETY: in a statement, as everywhere below.
    unsafe { any(c"claims", c"claims_pkey", &[]) }
}

/// Whether any template asks for events.
#[pg_extern(stable)]
pub fn _any_events() -> bool {
    // SAFETY: the index holds just those.
    unsafe { any(c"task_templates", c"task_templates_with_events", &[]) }
}

/// Whether events are held back, as somebody holds their queue.
#[pg_extern(stable)]
pub fn _any_held_events() -> bool {
    // SAFETY: see above.
    unsafe { any(c"held_events", c"held_events_pkey", &[]) }
}

/// Whether any task is known as stuck.
pub fn any_stuck() -> bool {
    // SAFETY: the index holds the open letters, by their reasons.
    unsafe {
        let reason = "stuck".into_datum().map(|reason| (Operator::TEXT_IS, reason));
        any(c"dead_letters", c"dead_letters_open", reason.as_slice())
    }
}

/// Whether a task has ever had a dead letter.
pub fn has_dead_letter(task_id: i64) -> bool {
    // SAFETY: the index is by task.
    unsafe { any(c"dead_letters", c"dead_letters_by_task", &[(Operator::BIGINT_IS, task_id.into())]) }
}

/// Whether anything waits in a namespace that nobody has claimed. Where nothing does, this walks over what has been claimed and
/// not been vacuumed yet.
#[pg_extern(stable)]
pub fn _anything_waits(namespace_id: i64) -> bool {
    // SAFETY: the index holds what nobody has claimed, by namespace.
    unsafe { any(c"waiting", c"waiting_in_order", &[(Operator::BIGINT_IS, namespace_id.into())]) }
}

/// The namespaces in which something waits that nobody has claimed; NULL where nothing does.
#[pg_extern(stable)]
pub fn _namespaces_that_wait() -> Option<Vec<i64>> {
    let last = |below: Option<i64>| {
        let below = below.map(|id| (Operator::BIGINT_BELOW, id.into()));
        // SAFETY: the index is by namespace, a bigint.
        unsafe {
            let (waiting, index) = ((c"tasker", c"waiting"), c"waiting_in_order");
            let [id] = at_end(End::Last, waiting, index, below.as_slice(), [c"namespace_id"])?;
            value(id)
        }
    };
    let ids: Vec<i64> = successors(last(None), |id| last(Some(*id))).collect();
    Some(ids).filter(|ids| !ids.is_empty())
}

/// The id of a namespace; NULL for an unknown one.
#[pg_extern(
    stable,
    sql = "create function tasker._find_namespace(name text) returns bigint stable strict language c as 'MODULE_PATHNAME', '@FUNCTION_NAME@';"
)]
fn _find_namespace(fcinfo: FunctionCallInfo) -> Option<i64> {
    // SAFETY: the argument is a text.
    unsafe { find_namespace(pg_getarg_datum(fcinfo, 0)?) }
}

/// The same by a name.
///
/// # Safety
/// It is a text.
pub unsafe fn find_namespace(name: Datum) -> Option<i64> {
    // SAFETY: the index is by name, and the column a bigint.
    unsafe {
        let (table, index) = ((c"tasker", c"namespaces"), c"namespaces_name_is_unique");
        let [id] = at_end(End::Last, table, index, &[(Operator::TEXT_IS, name)], [c"namespace_id"])?;
        value(id)
    }
}

/// When the first timer is due.
#[pg_extern(stable)]
pub fn _first_timer() -> Option<TimestampWithTimeZone> {
    // SAFETY: the column is a timestamptz.
    unsafe {
        let [fire_at] = at_end(End::First, (c"tasker", c"timers"), c"timers_due", &[], [c"fire_at"])?;
        value(fire_at)
    }
}

/// When the first namespace that is set aside after `at` is tried again.
#[pg_extern(stable)]
pub fn _first_retry_of_namespace(at: TimestampWithTimeZone) -> Option<TimestampWithTimeZone> {
    // SAFETY: the column is a timestamptz.
    unsafe {
        let mut namespaces = List::open(c"namespaces", c"namespaces_pkey", &[], [c"fault_until"]);
        let until = namespaces.all(&[]).into_iter().filter_map(|[until]| value(until));
        namespaces.close();
        until.filter(|until| *until > at).min()
    }
}

/// Whether a message of a queue is hidden; also where it cannot be told so quickly.
#[pg_extern(stable)]
pub fn _any_hidden(queue_name: &str) -> bool {
    let Ok(table) = CString::new(format!("q_{queue_name}")) else { return true };
    let Ok(index) = CString::new(format!("q_{queue_name}_vt_idx")) else { return true };
    // SAFETY: the index is by `vt`, a timestamptz.
    unsafe {
        // pgmq makes it, with this name.
        if !is_index_by((c"pgmq", &table), &index, c"vt") {
            return true;
        }
        let now = pg_sys::GetCurrentTimestamp();
        at_end(End::First, (c"pgmq", &table), &index, &[(Operator::TIME_AFTER, now.into())], []).is_some()
    }
}
