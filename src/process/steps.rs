//! What steps write: their rows, the beginning and the end of each attempt, how many are in flight, their timers, their
//! history. Each says whether it has gone past the executor (`table`).

use std::collections::BTreeMap;
use std::ffi::CStr;

use pgrx::datum::Interval;
use pgrx::direct_function_call;
use pgrx::fcinfo::{pg_getarg, pg_getarg_datum};
use pgrx::pg_sys::{Datum, FunctionCallInfo};
use pgrx::prelude::*;

use super::caller::session_user;
use super::table::executor::or_by_executor;
use super::table::read::Key;
use super::table::{Column, Writer};
use super::values::{array, elements};
use crate::workflow::step_id::task_of;

const TABLE: &CStr = c"steps";
pub const KEY: Key = Key { index: c"steps_pkey", column: c"step_id" };

/// Writes the rows of steps of tasks that start. The arrays have an element for each step.
#[pg_extern(
    volatile,
    sql = "create function tasker._write_steps(step_ids bigint[], template_step_ids bigint[], max_attempts integer[], states text[], remaining_parents integer[], finished_at timestamptz[]) returns boolean volatile strict language c as 'MODULE_PATHNAME', '@FUNCTION_NAME@';"
)]
fn _write_steps(fcinfo: FunctionCallInfo) -> bool {
    const STATEMENT: &CStr = c"
        insert into tasker.steps (step_id, task_id, template_step_id, max_attempts, state, remaining_parents, finished_at)
        select i.step_id, i.step_id >> 16, i.template_step_id, i.max_attempts, i.state, i.remaining_parents, i.finished_at
        from unnest($1, $2, $3, $4, $5, $6)
          i(step_id, template_step_id, max_attempts, state, remaining_parents, finished_at)";
    // SAFETY: the function is declared with these types.
    unsafe {
        let past = || {
            let ids = elements(fcinfo, 0, pg_sys::INT8OID)?;
            let tasks = ids.iter().map(|id| id.map(|id| task_of(id.value() as i64).into())).collect();
            let table = Writer::open(TABLE)?
                .set(c"step_id", Some(Column::Each(ids)))
                .set(c"task_id", Some(Column::Each(tasks)))
                .set(c"template_step_id", Column::each(fcinfo, 1, pg_sys::INT8OID))
                .set(c"max_attempts", Column::each(fcinfo, 2, pg_sys::INT4OID))
                .set(c"state", Column::each(fcinfo, 3, pg_sys::TEXTOID))
                .set(c"remaining_parents", Column::each(fcinfo, 4, pg_sys::INT4OID))
                .set(c"finished_at", Column::each(fcinfo, 5, pg_sys::TIMESTAMPTZOID))
                .set(c"ordinal", 0_i32.into_datum().map(Column::One))
                .set(c"attempts", 0_i32.into_datum().map(Column::One));
            Some(table.append(Some(KEY)))
        };
        or_by_executor(past().unwrap_or_default(), fcinfo, STATEMENT)
    }
}

/// Writes that attempts of steps have begun: their numbers and messages. The arrays have an element for each step.
#[pg_extern(
    volatile,
    sql = "create function tasker._write_enqueued(step_ids bigint[], attempts integer[], msg_ids bigint[], at timestamptz) returns boolean volatile strict language c as 'MODULE_PATHNAME', '@FUNCTION_NAME@';"
)]
fn _write_enqueued(fcinfo: FunctionCallInfo) -> bool {
    const STATEMENT: &CStr = c"
        update tasker.steps s
        set state = 'enqueued', attempts = i.attempt, msg_id = i.msg_id, enqueued_at = $4, remaining_parents = 0,
          started_at = null, reported_at = null, reported_status = null, next_retry_at = null, worker_id = null
        from unnest($1, $2, $3) i(step_id, attempt, msg_id)
        where s.step_id = i.step_id";
    // SAFETY: the function is declared with these types.
    unsafe {
        let past = || {
            let keys = elements(fcinfo, 0, pg_sys::INT8OID)?;
            Writer::open(TABLE)?
                .set(c"state", "enqueued".into_datum().map(Column::One))
                .set(c"attempts", Column::each(fcinfo, 1, pg_sys::INT4OID))
                .set(c"msg_id", Column::each(fcinfo, 2, pg_sys::INT8OID))
                .set(c"enqueued_at", Column::one(fcinfo, 3))
                .set(c"remaining_parents", 0_i32.into_datum().map(Column::One))
                .set(c"started_at", Some(Column::Null))
                .set(c"reported_at", Some(Column::Null))
                .set(c"reported_status", Some(Column::Null))
                .set(c"next_retry_at", Some(Column::Null))
                .set(c"worker_id", Some(Column::Null))
                .update(KEY, &keys);
            Some(())
        };
        or_by_executor(past().is_some(), fcinfo, STATEMENT)
    }
}

/// Writes that a worker has taken steps.
#[pg_extern(
    volatile,
    sql = "create function tasker._write_started(step_ids bigint[], at timestamptz, worker_id text) returns boolean volatile language c as 'MODULE_PATHNAME', '@FUNCTION_NAME@';"
)]
fn _write_started(fcinfo: FunctionCallInfo) -> bool {
    const STATEMENT: &CStr = c"
        update tasker.steps s
        set state = 'in_progress', started_at = $2, worker_id = $3
        where s.step_id = any($1)";
    // SAFETY: the function is declared with these types.
    unsafe {
        let past = || {
            let keys = elements(fcinfo, 0, pg_sys::INT8OID)?;
            Writer::open(TABLE)?
                .set(c"state", "in_progress".into_datum().map(Column::One))
                .set(c"started_at", Column::one(fcinfo, 1))
                .set(c"worker_id", Column::one(fcinfo, 2).or(Some(Column::Null)))
                .update(KEY, &keys);
            Some(())
        };
        or_by_executor(past().is_some(), fcinfo, STATEMENT)
    }
}

/// Writes that steps are complete, with their results; the arrays have an element for each step.
#[pg_extern(
    volatile,
    sql = "create function tasker._write_complete(step_ids bigint[], results jsonb[], at timestamptz) returns boolean volatile strict language c as 'MODULE_PATHNAME', '@FUNCTION_NAME@';"
)]
fn _write_complete(fcinfo: FunctionCallInfo) -> bool {
    const STATEMENT: &CStr = c"
        update tasker.steps s
        set state = 'complete', results = i.results, finished_at = $3
        from unnest($1, $2) i(step_id, results)
        where s.step_id = i.step_id";
    // SAFETY: the function is declared with these types.
    unsafe {
        let past = || {
            let keys = elements(fcinfo, 0, pg_sys::INT8OID)?;
            Writer::open(TABLE)?
                .set(c"state", "complete".into_datum().map(Column::One))
                .set(c"results", Column::each(fcinfo, 1, pg_sys::JSONBOID))
                .set(c"finished_at", Column::one(fcinfo, 2))
                .update(KEY, &keys);
            Some(())
        };
        or_by_executor(past().is_some(), fcinfo, STATEMENT)
    }
}

/// Writes how many parents steps wait for; the arrays have an element for each step.
#[pg_extern(
    volatile,
    sql = "create function tasker._write_remaining_parents(step_ids bigint[], remaining_parents integer[]) returns boolean volatile strict language c as 'MODULE_PATHNAME', '@FUNCTION_NAME@';"
)]
fn _write_remaining_parents(fcinfo: FunctionCallInfo) -> bool {
    const STATEMENT: &CStr = c"
        update tasker.steps s
        set remaining_parents = i.remaining
        from unnest($1, $2) i(step_id, remaining)
        where s.step_id = i.step_id";
    // SAFETY: the function is declared with these types.
    unsafe {
        let past = || {
            let keys = elements(fcinfo, 0, pg_sys::INT8OID)?;
            Writer::open(TABLE)?.set(c"remaining_parents", Column::each(fcinfo, 1, pg_sys::INT4OID)).update(KEY, &keys);
            Some(())
        };
        or_by_executor(past().is_some(), fcinfo, STATEMENT)
    }
}

/// Writes the timers of attempts that begin: one for all that have the same number of seconds.
#[pg_extern(
    volatile,
    sql = "create function tasker._write_timers(kind text, step_ids bigint[], attempts integer[], seconds double precision[], at timestamptz) returns boolean volatile strict language c as 'MODULE_PATHNAME', '@FUNCTION_NAME@';"
)]
fn _write_timers(fcinfo: FunctionCallInfo) -> bool {
    const STATEMENT: &CStr = c"
        insert into tasker.timers (fire_at, kind, step_ids, attempts)
        select $5 + make_interval(secs => i.seconds), $1, array_agg(i.step_id), array_agg(i.attempt)
        from unnest($2, $3, $4) i(step_id, attempt, seconds)
        group by i.seconds";
    // SAFETY: the function is declared with these types.
    unsafe {
        let past = || {
            let (steps, attempts) = (elements(fcinfo, 1, pg_sys::INT8OID)?, elements(fcinfo, 2, pg_sys::INT4OID)?);
            let seconds = elements(fcinfo, 3, pg_sys::FLOAT8OID)?;
            let mut timers: BTreeMap<u64, (Vec<Datum>, Vec<Datum>)> = BTreeMap::new();
            for ((step, attempt), seconds) in steps.into_iter().zip(attempts).zip(seconds) {
                let (steps, attempts) = timers.entry(seconds?.value() as u64).or_default();
                steps.push(step?);
                attempts.push(attempt?);
            }
            let fire_at = timers.keys().map(|seconds| later(fcinfo, 4, f64::from_bits(*seconds))).collect();
            let (steps, attempts) = timers
                .into_values()
                .map(|(steps, attempts)| (array(steps, pg_sys::INT8OID), array(attempts, pg_sys::INT4OID)))
                .unzip();
            let table = Writer::open(c"timers")?
                .number(c"timer_id", c"timers_timer_id_seq")
                .set(c"kind", Column::one(fcinfo, 0))
                .set(c"fire_at", Some(Column::Each(fire_at)))
                .set(c"step_ids", Some(Column::Each(steps)))
                .set(c"attempts", Some(Column::Each(attempts)));
            Some(table.append(None))
        };
        or_by_executor(past().unwrap_or_default(), fcinfo, STATEMENT)
    }
}

/// The time that an argument holds, so many seconds on.
unsafe fn later(fcinfo: FunctionCallInfo, argument: usize, seconds: f64) -> Option<Datum> {
    let interval = Interval::from_seconds(seconds);
    // SAFETY: the argument is a timestamptz. What is out of range is an error.
    unsafe {
        let arguments = [pg_getarg_datum(fcinfo, argument), interval.into_datum()];
        direct_function_call::<TimestampWithTimeZone>(pg_sys::timestamptz_pl_interval, &arguments).into_datum()
    }
}

/// Writes that so many attempts more (or less, where the delta is negative) are in flight for each place of the arrays, a row
/// for each namespace and template in them.
#[pg_extern(
    volatile,
    sql = "create function tasker._write_in_flight(namespace_ids bigint[], template_ids bigint[], delta integer) returns boolean volatile strict language c as 'MODULE_PATHNAME', '@FUNCTION_NAME@';"
)]
fn _write_in_flight(fcinfo: FunctionCallInfo) -> bool {
    const STATEMENT: &CStr = c"
        insert into tasker.in_flight_deltas (namespace_id, template_id, delta)
        select i.namespace_id, i.template_id, count(*) * $3
        from unnest($1, $2) i(namespace_id, template_id)
        group by i.namespace_id, i.template_id";
    // SAFETY: the function is declared with these types.
    unsafe {
        let past = || {
            let (namespaces, templates) =
                (elements(fcinfo, 0, pg_sys::INT8OID)?, elements(fcinfo, 1, pg_sys::INT8OID)?);
            let delta: i32 = pg_getarg(fcinfo, 2)?;
            let mut sums: BTreeMap<(usize, usize), i32> = BTreeMap::new();
            for (namespace, template) in namespaces.into_iter().zip(templates) {
                *sums.entry((namespace?.value(), template?.value())).or_default() += delta;
            }
            let column = |value: fn(&(usize, usize), i32) -> Datum| {
                Some(Column::Each(sums.iter().map(|(key, sum)| Some(value(key, *sum))).collect()))
            };
            let table = Writer::open(c"in_flight_deltas")?
                .set(c"namespace_id", column(|(namespace, _), _| Datum::from(*namespace)))
                .set(c"template_id", column(|(_, template), _| Datum::from(*template)))
                .set(c"delta", column(|_, sum| sum.into()));
            Some(table.append(None))
        };
        or_by_executor(past().unwrap_or_default(), fcinfo, STATEMENT)
    }
}

/// Writes transitions of steps, one for each id; `attempts` and `from_states` have as many elements, `metadata` and
/// `took_ms` too, or are NULL.
#[pg_extern(
    volatile,
    sql = "create function tasker._write_step_transitions(step_ids bigint[], at timestamptz, attempts integer[], from_states text[], to_state text, metadata jsonb[] default null, took_ms integer[] default null) returns boolean volatile language c as 'MODULE_PATHNAME', '@FUNCTION_NAME@';"
)]
fn _write_step_transitions(fcinfo: FunctionCallInfo) -> bool {
    const STATEMENT: &CStr = c"
        insert into tasker.step_transitions (step_id, created_at, attempt, from_state, to_state, actor, metadata, execution_time_ms)
        select i.step_id, $2, i.attempt, i.from_state, $5, session_user, i.metadata, i.took_ms
        from unnest($1, $3, $4, $6, $7) i(step_id, attempt, from_state, metadata, took_ms)";
    // SAFETY: the function is declared with these types.
    unsafe {
        let past = || {
            let table = Writer::open(c"step_transitions")?
                .number(c"step_transition_id", c"step_transitions_step_transition_id_seq")
                .set(c"step_id", Column::each(fcinfo, 0, pg_sys::INT8OID))
                .set(c"created_at", Column::one(fcinfo, 1))
                .set(c"attempt", Column::each(fcinfo, 2, pg_sys::INT4OID))
                .set(c"from_state", Column::each(fcinfo, 3, pg_sys::TEXTOID))
                .set(c"to_state", Column::one(fcinfo, 4))
                .set(c"actor", session_user().map(Column::One))
                .set(c"metadata", Column::each(fcinfo, 5, pg_sys::JSONBOID))
                .set(c"execution_time_ms", Column::each(fcinfo, 6, pg_sys::INT4OID));
            Some(table.append(None))
        };
        or_by_executor(past().unwrap_or_default(), fcinfo, STATEMENT)
    }
}
