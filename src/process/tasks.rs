//! What tasks write: a request's rows, their history, how many of their steps are active, and what waits. Functions for SQL say
//! whether that has gone past the executor (`table`).

use std::collections::BTreeMap;
use std::ffi::CStr;

use pgrx::Uuid;
use pgrx::fcinfo::pg_getarg_datum;
use pgrx::pg_sys::{Datum, FunctionCallInfo};
use pgrx::prelude::*;

use super::caller::session_user;
use super::table::read::Key;
use super::table::{Column, Writer};
use super::values::{Composite, elements, empty_array, value};
use crate::workflow::jsonb;
use crate::workflow::step_id::task_of;

pub const KEY: Key = Key { index: c"tasks_pkey", column: c"task_id" };

const TRANSITIONS: &CStr = c"task_transitions_task_transition_id_seq";

/// What a request says of its task.
const NAMES: [&CStr; 16] = [
    c"task_id",
    c"template_id",
    c"namespace_id",
    c"run_at",
    c"correlation_id",
    c"parent_correlation_id",
    c"claim_timeout_seconds",
    c"priority",
    c"context",
    c"identity_key",
    c"context_hash",
    c"initiator",
    c"source_system",
    c"reason",
    c"tags",
    c"bypass_steps",
];

/// What is written for requests, by column of `tasks`: an element for each request.
pub struct Requests {
    columns: Vec<(&'static CStr, Vec<Option<Datum>>)>,
    created_at: Option<Datum>,
    /// Of the tasks' first transitions.
    metadata: Option<Vec<Option<Datum>>>,
}

impl Requests {
    /// Of one request: what it says, in the order of `NAMES`.
    pub fn one(request: [Option<Datum>; 16], created_at: Option<Datum>) -> Requests {
        let columns = NAMES.into_iter().zip(request.map(|value| vec![value])).collect();
        Requests { columns, created_at, metadata: None }
    }

    /// Writes tasks, their first transitions, and that they wait for their start, or the timers of those that are not to start
    /// yet.
    ///
    /// # Safety
    /// In a statement; the values are of the columns' types.
    pub unsafe fn write(self) -> bool {
        let created_at = self.created_at.map_or(0, |at| at.value() as i64);
        let is_delayed: Vec<bool> = self
            .column(c"run_at")
            .iter()
            .map(|run_at| run_at.is_some_and(|run_at| run_at.value() as i64 > created_at))
            .collect();
        // SAFETY: see above.
        unsafe {
            let mut tables = vec![self.tasks(), self.transitions()];
            if is_delayed.contains(&false) {
                tables.push(self.waiting(&is_delayed));
            }
            if is_delayed.contains(&true) {
                tables.push(self.timers(&is_delayed));
            }
            // All of them, whatever the first one says.
            tables.into_iter().map(|table| table.append(None)).min().unwrap_or_default()
        }
    }

    unsafe fn tasks(&self) -> Writer {
        // SAFETY: the columns are of these types, here and below.
        unsafe {
            let table = Writer::open(c"tasks")
                .set(c"created_at", Column::one(self.created_at))
                .set(c"state", Column::text("pending"))
                .set(c"active_steps", Column::one(0_i32.into_datum()))
                .set(c"error_steps", Column::one(0_i32.into_datum()));
            self.columns.iter().fold(table, |table, (name, _)| table.set(name, self.all(name)))
        }
    }

    unsafe fn transitions(&self) -> Writer {
        // SAFETY: see above.
        unsafe {
            Writer::open(c"task_transitions")
                .number(c"task_transition_id", TRANSITIONS)
                .set(c"task_id", self.all(c"task_id"))
                .set(c"created_at", Column::one(self.created_at))
                .set(c"to_state", Column::text("pending"))
                .set(c"actor", Column::one(session_user()))
                .set(c"metadata", self.metadata.clone().map(Column::Each))
        }
    }

    unsafe fn waiting(&self, is_delayed: &[bool]) -> Writer {
        let at_once = |name| self.those(name, is_delayed, false);
        // SAFETY: see above.
        unsafe {
            Writer::open(c"waiting")
                .set(c"namespace_id", at_once(c"namespace_id"))
                .set(c"template_id", at_once(c"template_id"))
                .set(c"task_id", at_once(c"task_id"))
                .set(c"since", Column::one(self.created_at))
                .set(c"priority", at_once(c"priority"))
        }
    }

    unsafe fn timers(&self, is_delayed: &[bool]) -> Writer {
        // SAFETY: see above.
        unsafe {
            Writer::open(c"timers")
                .number(c"timer_id", c"timers_timer_id_seq")
                .set(c"fire_at", self.those(c"run_at", is_delayed, true))
                .set(c"kind", Column::text("start"))
                .set(c"task_id", self.those(c"task_id", is_delayed, true))
        }
    }

    fn all(&self, name: &CStr) -> Option<Column> {
        Some(Column::Each(self.column(name).to_vec()))
    }

    fn those(&self, name: &CStr, is_delayed: &[bool], delayed: bool) -> Option<Column> {
        let values = self.column(name).iter().zip(is_delayed).filter(|(_, is_delayed)| **is_delayed == delayed);
        Some(Column::Each(values.map(|(value, _)| *value).collect()))
    }

    fn column(&self, name: &CStr) -> &[Option<Datum>] {
        self.columns.iter().find(|(known, _)| *known == name).map_or(&[], |(_, values)| values)
    }
}

/// Writes the rows of one request: the task, its first transition, and that it waits for its start, or a timer for that.
#[pg_extern(
    volatile,
    sql = "create function tasker._write_request(task_id bigint, template_id bigint, namespace_id bigint, run_at timestamptz, correlation_id uuid, parent_correlation_id uuid, claim_timeout_seconds integer, priority smallint, context jsonb, identity_key text, context_hash bytea, initiator text, source_system text, reason text, tags text[], bypass_steps text[], created_at timestamptz) returns boolean volatile language c as 'MODULE_PATHNAME', '@FUNCTION_NAME@';"
)]
fn _write_request(fcinfo: FunctionCallInfo) -> bool {
    // SAFETY: the function is declared with these types.
    unsafe {
        let request = std::array::from_fn(|number| pg_getarg_datum(fcinfo, number));
        Requests::one(request, pg_getarg_datum(fcinfo, 16)).write()
    }
}

/// Writes the rows of requests as `_write_request` does. The arrays have an element for each; a request without a task id is
/// left out.
#[pg_extern(
    volatile,
    sql = "create function tasker._write_requests(requests tasker._task_request[], task_ids bigint[], context_hashes bytea[], created_at timestamptz) returns boolean volatile strict language c as 'MODULE_PATHNAME', '@FUNCTION_NAME@';"
)]
fn _write_requests(fcinfo: FunctionCallInfo) -> Option<bool> {
    // SAFETY: the function is declared with these types.
    unsafe { requested(fcinfo).map(|requests| requests.write()) }
}

/// What `_write_requests` is asked for.
unsafe fn requested(fcinfo: FunctionCallInfo) -> Option<Requests> {
    // SAFETY: the function is declared with these types, and the columns of a request are of these types.
    unsafe {
        let request = Composite::element_of_argument(fcinfo, 0);
        let requests = elements(fcinfo, 0, request.oid())?;
        let (task_ids, hashes) = (elements(fcinfo, 1, pg_sys::INT8OID)?, elements(fcinfo, 2, pg_sys::BYTEAOID)?);
        let mut columns: [Vec<Option<Datum>>; 16] = Default::default();
        let mut metadata = Vec::new();
        for ((one, task_id), hash) in requests.into_iter().zip(task_ids).zip(hashes).filter(|((_, id), _)| id.is_some())
        {
            let columns_of_one: [Option<Datum>; 18] = request.columns(one?);
            let [template_id, context, key, priority, run_at, correlation_id, parent, ..] = columns_of_one;
            let [.., namespace_id, template_name, _, _] = columns_of_one;
            let [.., initiator, source_system, reason, tags, bypass_steps, claim_timeout, request_id, _, _, _, _] =
                columns_of_one;
            let identity = value::<&[u8]>(template_name).zip(value::<&[u8]>(key));
            let row = [
                task_id,
                template_id,
                namespace_id,
                run_at,
                correlation_id.or(parent).or_else(|| _uuid7().into_datum()),
                parent,
                claim_timeout,
                priority,
                context,
                identity.and_then(|(template, key)| [template, b"/", key].concat().into_datum()),
                hash,
                initiator,
                source_system,
                reason,
                tags.or_else(|| empty_array(pg_sys::TEXTOID)),
                bypass_steps.or_else(|| empty_array(pg_sys::TEXTOID)),
            ];
            for (column, value) in columns.iter_mut().zip(row) {
                column.push(value);
            }
            let request = value::<&[u8]>(request_id)
                .and_then(|id| jsonb::object(id.len() + 64, &["request_id"], |children| children.string(id)).ok());
            metadata.push(request.into_datum());
        }
        let columns = NAMES.into_iter().zip(columns).collect();
        Some(Requests { columns, created_at: pg_getarg_datum(fcinfo, 3), metadata: Some(metadata) })
    }
}

/// Writes how many steps of tasks are active, where that changes: those of `ended` are not any more, those of `ready` are now.
/// Returns the tasks that have none left.
///
/// # Safety
/// In a statement.
pub unsafe fn write_active_steps(ended: impl Iterator<Item = i64>, ready: impl Iterator<Item = i64>) -> Vec<Datum> {
    let mut changes: BTreeMap<i64, i32> = BTreeMap::new();
    for (step_id, change) in ended.map(|step_id| (step_id, -1)).chain(ready.map(|step_id| (step_id, 1))) {
        *changes.entry(task_of(step_id)).or_default() += change;
    }
    changes.retain(|_, change| *change != 0);
    if changes.is_empty() {
        return Vec::new();
    }
    let keys: Vec<_> = changes.keys().map(|task_id| task_id.into_datum()).collect();
    let changes = Column::More(changes.into_values().collect());
    // SAFETY: the columns are of these types.
    unsafe { Writer::open(c"tasks").set(c"active_steps", changes).update_to_zero(KEY, &keys, c"active_steps") }
}

/// Transitions of tasks, one for each id.
pub struct TaskTransitions {
    pub task_ids: Column,
    pub from_states: Option<Column>,
    pub to_states: Option<Column>,
    pub metadata: Option<Column>,
}

impl TaskTransitions {
    /// Says whether that has gone past the executor.
    ///
    /// # Safety
    /// In a statement; ids are bigints, states texts, metadata jsonb, and `at` is a timestamptz.
    pub unsafe fn write(self, at: Datum) -> bool {
        // SAFETY: see above.
        unsafe {
            Writer::open(c"task_transitions")
                .number(c"task_transition_id", TRANSITIONS)
                .set(c"task_id", self.task_ids)
                .set(c"created_at", Column::One(at))
                .set(c"from_state", self.from_states)
                .set(c"to_state", self.to_states)
                .set(c"actor", Column::one(session_user()))
                .set(c"metadata", self.metadata)
                .append(None)
        }
    }
}

/// Writes transitions of tasks, one for each id; the other arrays have as many elements, or are NULL.
#[pg_extern(
    volatile,
    sql = "create function tasker._write_task_transitions(task_ids bigint[], at timestamptz, from_states text[], to_states text[], metadata jsonb[] default null) returns boolean volatile language c as 'MODULE_PATHNAME', '@FUNCTION_NAME@';"
)]
fn _write_task_transitions(fcinfo: FunctionCallInfo) -> Option<bool> {
    // SAFETY: the function is declared with these types.
    unsafe {
        let transitions = TaskTransitions {
            task_ids: Column::each(fcinfo, 0, pg_sys::INT8OID)?,
            from_states: Column::each(fcinfo, 2, pg_sys::TEXTOID),
            to_states: Column::each(fcinfo, 3, pg_sys::TEXTOID),
            metadata: Column::each(fcinfo, 4, pg_sys::JSONBOID),
        };
        Some(transitions.write(pg_getarg_datum(fcinfo, 1)?))
    }
}

/// Writes what waits, a row for each task id: the task itself, where its step is NULL, or a step. The arrays have an element
/// for each row, or are NULL.
#[pg_extern(
    volatile,
    sql = "create function tasker._write_waiting(namespace_ids bigint[], template_ids bigint[], task_ids bigint[], step_ids bigint[], since timestamptz[], priorities smallint[], claimed_by text[] default null, claim_expires_at timestamptz[] default null) returns boolean volatile language c as 'MODULE_PATHNAME', '@FUNCTION_NAME@';"
)]
fn _write_waiting(fcinfo: FunctionCallInfo) -> bool {
    // SAFETY: the function is declared with these types.
    unsafe {
        Writer::open(c"waiting")
            .set(c"namespace_id", Column::each(fcinfo, 0, pg_sys::INT8OID))
            .set(c"template_id", Column::each(fcinfo, 1, pg_sys::INT8OID))
            .set(c"task_id", Column::each(fcinfo, 2, pg_sys::INT8OID))
            .set(c"step_id", Column::each(fcinfo, 3, pg_sys::INT8OID))
            .set(c"since", Column::each(fcinfo, 4, pg_sys::TIMESTAMPTZOID))
            .set(c"priority", Column::each(fcinfo, 5, pg_sys::INT2OID))
            .set(c"claimed_by", Column::each(fcinfo, 6, pg_sys::TEXTOID))
            .set(c"claim_expires_at", Column::each(fcinfo, 7, pg_sys::TIMESTAMPTZOID))
            .append(None)
    }
}

/// A new uuid, version 7 (RFC 9562): ordered by time.
#[pg_extern(volatile, parallel_safe)]
pub fn _uuid7() -> Uuid {
    Uuid::from_bytes(*uuid::Uuid::now_v7().as_bytes())
}
