//! What steps write: their rows, the beginning and the end of each attempt, their history. Each of these says whether it
//! has written; where not, the executor must (`table`).

use std::ffi::CStr;

use pgrx::fcinfo::pg_getarg_datum;
use pgrx::pg_sys::{Datum, FunctionCallInfo};
use pgrx::prelude::*;

use super::table::read::Key;
use super::table::{Column, Writer};
use super::values::elements;
use crate::workflow::step_id::task_of;

const TABLE: &CStr = c"steps";
pub const KEY: Key = Key { index: c"steps_pkey", column: c"step_id" };

/// Writes the rows of steps of tasks that start. The arrays have an element for each step.
#[pg_extern(
    volatile,
    sql = "create function tasker._write_steps(step_ids bigint[], template_step_ids bigint[], max_attempts integer[], states text[], remaining_parents integer[], finished_at timestamptz[]) returns boolean volatile strict language c as 'MODULE_PATHNAME', '@FUNCTION_NAME@';"
)]
fn _write_steps(fcinfo: FunctionCallInfo) -> bool {
    // SAFETY: the function is declared with these types.
    unsafe {
        let Some(ids) = elements(fcinfo, 0, pg_sys::INT8OID) else { return false };
        let Some(table) = Writer::open(TABLE) else { return false };
        let each = |argument, element| elements(fcinfo, argument, element).map(Column::Each);
        let tasks = ids.iter().map(|id| id.map(|id| task_of(id.value() as i64).into())).collect();
        table
            .set(c"step_id", Some(Column::Each(ids)))
            .set(c"task_id", Some(Column::Each(tasks)))
            .set(c"template_step_id", each(1, pg_sys::INT8OID))
            .set(c"max_attempts", each(2, pg_sys::INT4OID))
            .set(c"state", each(3, pg_sys::TEXTOID))
            .set(c"remaining_parents", each(4, pg_sys::INT4OID))
            .set(c"finished_at", each(5, pg_sys::TIMESTAMPTZOID))
            .set(c"ordinal", 0_i32.into_datum().map(Column::One))
            .set(c"attempts", 0_i32.into_datum().map(Column::One))
            .append(Some(KEY))
    }
}

/// Writes that attempts of steps have begun: their numbers and messages. The arrays have an element for each step.
#[pg_extern(
    volatile,
    sql = "create function tasker._write_enqueued(step_ids bigint[], attempts integer[], msg_ids bigint[], at timestamptz) returns boolean volatile strict language c as 'MODULE_PATHNAME', '@FUNCTION_NAME@';"
)]
fn _write_enqueued(fcinfo: FunctionCallInfo) -> bool {
    // SAFETY: the function is declared with these types.
    unsafe {
        let Some(keys) = elements(fcinfo, 0, pg_sys::INT8OID) else { return false };
        let Some(table) = Writer::open(TABLE) else { return false };
        table
            .set(c"state", "enqueued".into_datum().map(Column::One))
            .set(c"attempts", elements(fcinfo, 1, pg_sys::INT4OID).map(Column::Each))
            .set(c"msg_id", elements(fcinfo, 2, pg_sys::INT8OID).map(Column::Each))
            .set(c"enqueued_at", pg_getarg_datum(fcinfo, 3).map(Column::One))
            .set(c"remaining_parents", 0_i32.into_datum().map(Column::One))
            .set(c"started_at", Some(Column::Null))
            .set(c"reported_at", Some(Column::Null))
            .set(c"reported_status", Some(Column::Null))
            .set(c"next_retry_at", Some(Column::Null))
            .set(c"worker_id", Some(Column::Null))
            .update(KEY, &keys);
        true
    }
}

/// Writes that steps are complete, with their results; the arrays have an element for each step.
#[pg_extern(
    volatile,
    sql = "create function tasker._write_complete(step_ids bigint[], results jsonb[], at timestamptz) returns boolean volatile strict language c as 'MODULE_PATHNAME', '@FUNCTION_NAME@';"
)]
fn _write_complete(fcinfo: FunctionCallInfo) -> bool {
    // SAFETY: the function is declared with these types.
    unsafe {
        let Some(keys) = elements(fcinfo, 0, pg_sys::INT8OID) else { return false };
        let Some(table) = Writer::open(TABLE) else { return false };
        table
            .set(c"state", "complete".into_datum().map(Column::One))
            .set(c"results", elements(fcinfo, 1, pg_sys::JSONBOID).map(Column::Each))
            .set(c"finished_at", pg_getarg_datum(fcinfo, 2).map(Column::One))
            .update(KEY, &keys);
        true
    }
}

/// Writes transitions of steps, one for each id; `attempts` and `from_states` have as many elements, `metadata` and
/// `took_ms` too, or are NULL.
#[pg_extern(
    volatile,
    sql = "create function tasker._write_step_transitions(step_ids bigint[], at timestamptz, attempts integer[], from_states text[], to_state text, metadata jsonb[], took_ms integer[]) returns boolean volatile language c as 'MODULE_PATHNAME', '@FUNCTION_NAME@';"
)]
fn _write_step_transitions(fcinfo: FunctionCallInfo) -> bool {
    // SAFETY: the function is declared with these types.
    unsafe {
        let Some(table) = Writer::open(c"step_transitions") else { return false };
        let each = |argument, element| elements(fcinfo, argument, element).map(Column::Each);
        let one = |argument| pg_getarg_datum(fcinfo, argument).map(Column::One);
        table
            .number(c"step_transition_id", c"step_transitions_step_transition_id_seq")
            .set(c"step_id", each(0, pg_sys::INT8OID))
            .set(c"created_at", one(1))
            .set(c"attempt", each(2, pg_sys::INT4OID))
            .set(c"from_state", each(3, pg_sys::TEXTOID))
            .set(c"to_state", one(4))
            .set(c"actor", session_user().map(Column::One))
            .set(c"metadata", each(5, pg_sys::JSONBOID))
            .set(c"execution_time_ms", each(6, pg_sys::INT4OID))
            .append(None)
    }
}

unsafe fn session_user() -> Option<Datum> {
    // SAFETY: the name of a role that exists, in memory of the caller's.
    let name = unsafe { CStr::from_ptr(pg_sys::GetUserNameFromId(pg_sys::GetSessionUserId(), false)) };
    name.to_str().ok().into_datum()
}
