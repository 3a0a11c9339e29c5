//! What steps write: their rows, the beginning and the end of each attempt, how many are in flight, their timers, their
//! history. Lists have an element for each step. Functions for SQL say whether that has gone past the executor (`table`).

use std::collections::BTreeMap;
use std::ffi::CStr;

use pgrx::datum::Interval;
use pgrx::direct_function_call;
use pgrx::pg_sys::{Datum, FunctionCallInfo};
use pgrx::prelude::*;

use super::caller::session_user;
use super::table::read::Key;
use super::table::{Column, Writer};
use super::values::{Elements, array, elements};
use crate::workflow::step_id::task_of;

const TABLE: &CStr = c"steps";
pub const KEY: Key = Key { index: c"steps_pkey", column: c"step_id" };

/// Rows of steps of tasks that start.
#[derive(Default)]
pub struct NewSteps {
    ids: Elements,
    nodes: Elements,
    max_attempts: Elements,
    remaining_parents: Elements,
}

impl NewSteps {
    pub fn add(&mut self, step_id: i64, template_step_id: i64, max_attempts: i32, remaining_parents: i32) {
        self.ids.push(step_id.into_datum());
        self.nodes.push(template_step_id.into_datum());
        self.max_attempts.push(max_attempts.into_datum());
        self.remaining_parents.push(remaining_parents.into_datum());
    }

    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// # Safety
    /// In a statement.
    pub unsafe fn write(self) {
        let columns = [Some(Column::Each(self.nodes)), Some(Column::Each(self.max_attempts))];
        let (state, parents) = (Some(Column::text("pending")), Some(Column::Each(self.remaining_parents)));
        // SAFETY: the values are of the columns' types.
        unsafe { write_steps(self.ids, columns, [state, parents, None]) };
    }
}

/// Writes the rows of steps of tasks that start.
#[pg_extern(
    volatile,
    sql = "create function tasker._write_steps(step_ids bigint[], template_step_ids bigint[], max_attempts integer[], states text[], remaining_parents integer[], finished_at timestamptz[]) returns boolean volatile strict language c as 'MODULE_PATHNAME', '@FUNCTION_NAME@';"
)]
fn _write_steps(fcinfo: FunctionCallInfo) -> Option<bool> {
    // SAFETY: the function is declared with these types.
    unsafe {
        let ids = elements(fcinfo, 0, pg_sys::INT8OID)?;
        let column = |number, of_type| Column::each(fcinfo, number, of_type);
        let of_template = [column(1, pg_sys::INT8OID), column(2, pg_sys::INT4OID)];
        let own = [column(3, pg_sys::TEXTOID), column(4, pg_sys::INT4OID), column(5, pg_sys::TIMESTAMPTZOID)];
        Some(write_steps(ids, of_template, own))
    }
}

/// What they have of their template: its step, and how often they may be tried. What is their own: state, remaining parents, when
/// they ended.
unsafe fn write_steps(ids: Elements, of_template: [Option<Column>; 2], own: [Option<Column>; 3]) -> bool {
    let tasks = ids.iter().map(|id| id.map(|id| task_of(id.value() as i64).into())).collect();
    let ([template_step_id, max_attempts], [state, remaining_parents, finished_at]) = (of_template, own);
    // SAFETY: the values are of the columns' types.
    unsafe {
        Writer::open(TABLE)
            .set(c"step_id", Column::Each(ids))
            .set(c"task_id", Column::Each(tasks))
            .set(c"template_step_id", template_step_id)
            .set(c"max_attempts", max_attempts)
            .set(c"state", state)
            .set(c"remaining_parents", remaining_parents)
            .set(c"finished_at", finished_at)
            .set(c"ordinal", Column::one(0_i32.into_datum()))
            .set(c"attempts", Column::one(0_i32.into_datum()))
            .append(Some(KEY))
    }
}

/// Writes how many parents steps wait for.
#[pg_extern(
    volatile,
    sql = "create function tasker._write_remaining_parents(step_ids bigint[], remaining_parents integer[]) returns boolean volatile strict language c as 'MODULE_PATHNAME', '@FUNCTION_NAME@';"
)]
fn _write_remaining_parents(fcinfo: FunctionCallInfo) -> Option<bool> {
    // SAFETY: the function is declared with these types.
    unsafe {
        let (ids, remaining) = (elements(fcinfo, 0, pg_sys::INT8OID)?, elements(fcinfo, 1, pg_sys::INT4OID)?);
        Some(write_remaining_parents(&ids, remaining))
    }
}

/// # Safety
/// In a statement, as everywhere below. Ids are bigints, what is remaining integers.
pub unsafe fn write_remaining_parents(step_ids: &[Option<Datum>], remaining: Elements) -> bool {
    // SAFETY: see above.
    unsafe { Writer::open(TABLE).set(c"remaining_parents", Column::Each(remaining)).update(KEY, step_ids) }
}

/// Writes that attempts have begun: their numbers and messages.
///
/// # Safety
/// Ids are bigints, attempts integers, `at` is a timestamptz.
pub unsafe fn write_enqueued(step_ids: &[Option<Datum>], attempts: Elements, msg_ids: Elements, at: Datum) {
    // SAFETY: see above.
    unsafe {
        Writer::open(TABLE)
            .set(c"state", Column::text("enqueued"))
            .set(c"attempts", Column::Each(attempts))
            .set(c"msg_id", Column::Each(msg_ids))
            .set(c"enqueued_at", Column::One(at))
            .set(c"remaining_parents", Column::one(0_i32.into_datum()))
            .set(c"started_at", Column::Null)
            .set(c"reported_at", Column::Null)
            .set(c"reported_status", Column::Null)
            .set(c"next_retry_at", Column::Null)
            .set(c"worker_id", Column::Null)
            .update(KEY, step_ids);
    }
}

/// Writes that a worker has taken steps.
///
/// # Safety
/// Ids are bigints, `at` is a timestamptz, the worker a text.
pub unsafe fn write_started(step_ids: &[Option<Datum>], at: Datum, worker_id: Option<Datum>) {
    // SAFETY: see above.
    unsafe {
        Writer::open(TABLE)
            .set(c"state", Column::text("in_progress"))
            .set(c"started_at", Column::One(at))
            .set(c"worker_id", Column::one(worker_id))
            .update(KEY, step_ids);
    }
}

/// Writes that steps are complete, with their results.
///
/// # Safety
/// Ids are bigints, results jsonb, `at` is a timestamptz.
pub unsafe fn write_complete(step_ids: &[Option<Datum>], results: Elements, at: Datum) {
    // SAFETY: see above.
    unsafe {
        Writer::open(TABLE)
            .set(c"state", Column::text("complete"))
            .set(c"results", Column::Each(results))
            .set(c"finished_at", Column::One(at))
            .update(KEY, step_ids);
    }
}

/// Transitions of steps.
pub struct Transitions {
    pub step_ids: Elements,
    pub attempts: Elements,
    pub from_states: Elements,
    pub to_state: &'static str,
    pub metadata: Column,
    pub took_ms: Column,
}

/// Writes them.
///
/// # Safety
/// Ids are bigints, attempts and milliseconds integers, states texts, metadata jsonb, `at` is a timestamptz.
pub unsafe fn write_transitions(transitions: Transitions, at: Datum) {
    // SAFETY: see above.
    unsafe {
        Writer::open(c"step_transitions")
            .number(c"step_transition_id", c"step_transitions_step_transition_id_seq")
            .set(c"step_id", Column::Each(transitions.step_ids))
            .set(c"created_at", Column::One(at))
            .set(c"attempt", Column::Each(transitions.attempts))
            .set(c"from_state", Column::Each(transitions.from_states))
            .set(c"to_state", Column::text(transitions.to_state))
            .set(c"actor", Column::one(session_user()))
            .set(c"metadata", transitions.metadata)
            .set(c"execution_time_ms", transitions.took_ms)
            .append(None);
    }
}

/// Writes the timers of attempts that begin, of which each has so many seconds: one for all that have the same number.
///
/// # Safety
/// `at` is a timestamptz.
pub unsafe fn write_timers(kind: &str, attempts: impl Iterator<Item = (Attempt, f64)>, at: Datum) {
    let mut timers: BTreeMap<u64, (Vec<Datum>, Vec<Datum>)> = BTreeMap::new();
    for (attempt, seconds) in attempts {
        let (steps, attempts) = timers.entry(seconds.to_bits()).or_default();
        steps.push(attempt.step_id.into());
        attempts.push(attempt.number.into());
    }
    // SAFETY: see above.
    unsafe {
        let fire_at = timers.keys().map(|seconds| later(at, f64::from_bits(*seconds))).collect();
        let (steps, attempts) = timers
            .into_values()
            .map(|(steps, attempts)| (array(steps, pg_sys::INT8OID), array(attempts, pg_sys::INT4OID)))
            .unzip();
        Writer::open(c"timers")
            .number(c"timer_id", c"timers_timer_id_seq")
            .set(c"kind", Column::text(kind))
            .set(c"fire_at", Column::Each(fire_at))
            .set(c"step_ids", Column::Each(steps))
            .set(c"attempts", Column::Each(attempts))
            .append(None);
    }
}

/// An attempt of a step.
#[derive(Clone, Copy)]
pub struct Attempt {
    pub step_id: i64,
    pub number: i32,
}

/// The time `at`, so many seconds on. What is out of range is an error.
unsafe fn later(at: Datum, seconds: f64) -> Option<Datum> {
    let arguments = [Some(at), Interval::from_seconds(seconds).into_datum()];
    // SAFETY: `at` is a timestamptz.
    unsafe { direct_function_call::<TimestampWithTimeZone>(pg_sys::timestamptz_pl_interval, &arguments).into_datum() }
}

/// How many more or less attempts are in flight, by namespace and template.
#[derive(Default)]
pub struct InFlight(BTreeMap<(i64, i64), i32>);

impl InFlight {
    pub fn add(&mut self, namespace_id: i64, template_id: i64, more: i32) {
        *self.0.entry((namespace_id, template_id)).or_default() += more;
    }

    /// Writes what remains of it: a piece of the sum for each.
    ///
    /// # Safety
    /// In a statement.
    pub unsafe fn write(mut self) {
        self.0.retain(|_, more| *more != 0);
        if self.0.is_empty() {
            return;
        }
        let column = |value: fn(&(i64, i64), i32) -> Datum| {
            Column::Each(self.0.iter().map(|(key, more)| Some(value(key, *more))).collect())
        };
        // SAFETY: the values are of the columns' types.
        unsafe {
            Writer::open(c"in_flight_deltas")
                .set(c"namespace_id", column(|(namespace, _), _| (*namespace).into()))
                .set(c"template_id", column(|(_, template), _| (*template).into()))
                .set(c"delta", column(|_, more| more.into()))
                .append(None);
        }
    }
}
