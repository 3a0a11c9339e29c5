//! What tasks write: a request's rows, their history, and what waits. Each says whether it has gone past the executor
//! (`table`).

use std::collections::BTreeMap;
use std::ffi::CStr;

use pgrx::AnyElement;
use pgrx::fcinfo::{pg_getarg, pg_getarg_datum};
use pgrx::pg_sys::FunctionCallInfo;
use pgrx::prelude::*;

use super::caller::session_user;
use super::table::executor::{by_executor, or_by_executor};
use super::table::read::Key;
use super::table::{Column, Writer};
use super::values::{array, elements};
use crate::workflow::step_id::task_of;

pub const KEY: Key = Key { index: c"tasks_pkey", column: c"task_id" };

const TRANSITIONS: &CStr = c"task_transitions_task_transition_id_seq";

/// Writes the rows of one request: the task, its first transition, and, unless it is delayed, that it waits for its start.
#[pg_extern(
    volatile,
    sql = "create function tasker._write_request(task_id bigint, template_id bigint, namespace_id bigint, created_at timestamptz, run_at timestamptz, correlation_id uuid, parent_correlation_id uuid, claim_timeout_seconds integer, priority integer, context jsonb, identity_key text, context_hash bytea, initiator text, source_system text, reason text, tags text[], bypass_steps text[], delayed boolean) returns boolean volatile language c as 'MODULE_PATHNAME', '@FUNCTION_NAME@';"
)]
fn _write_request(fcinfo: FunctionCallInfo) -> bool {
    const AS_GIVEN: [(&CStr, usize); 16] = [
        (c"task_id", 0),
        (c"template_id", 1),
        (c"namespace_id", 2),
        (c"created_at", 3),
        (c"run_at", 4),
        (c"correlation_id", 5),
        (c"parent_correlation_id", 6),
        (c"claim_timeout_seconds", 7),
        (c"context", 9),
        (c"identity_key", 10),
        (c"context_hash", 11),
        (c"initiator", 12),
        (c"source_system", 13),
        (c"reason", 14),
        (c"tags", 15),
        (c"bypass_steps", 16),
    ];
    const STATEMENT: &CStr = c"
        with task as (
          insert into tasker.tasks (task_id, template_id, namespace_id, created_at, run_at, correlation_id,
            parent_correlation_id, claim_timeout_seconds, priority, context, identity_key, context_hash, initiator,
            source_system, reason, tags, bypass_steps)
          overriding system value
          values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
        ), waits as (
          insert into tasker.waiting (namespace_id, template_id, task_id, since, priority)
          select $3, $2, $1, $4, $9 where $18 is not true
        )
        insert into tasker.task_transitions (task_id, created_at, to_state, actor) values ($1, $4, 'pending', session_user)";
    // SAFETY: the function is declared with these types; what is opened is closed.
    unsafe {
        let given = |argument| Column::only(pg_getarg_datum(fcinfo, argument));
        let priority = pg_getarg::<i32>(fcinfo, 8).and_then(|priority| i16::try_from(priority).ok());
        let priority = || Column::only(priority.into_datum());
        let pending = || Column::only("pending".into_datum());
        let is_delayed: bool = pg_getarg(fcinfo, 17).unwrap_or_default();
        let past = || {
            let mut tasks = Writer::open(c"tasks")?;
            for (column, argument) in AS_GIVEN {
                tasks = tasks.set(column, given(argument));
            }
            let tasks = tasks
                .set(c"priority", priority())
                .set(c"state", pending())
                .set(c"active_steps", Column::only(0_i32.into_datum()))
                .set(c"error_steps", Column::only(0_i32.into_datum()));
            let transitions = Writer::open(c"task_transitions").map(|table| {
                table
                    .number(c"task_transition_id", TRANSITIONS)
                    .set(c"task_id", given(0))
                    .set(c"created_at", given(3))
                    .set(c"to_state", pending())
                    .set(c"actor", Column::only(session_user()))
            });
            let waiting = Writer::open(c"waiting").map(|table| {
                table
                    .set(c"namespace_id", given(2))
                    .set(c"template_id", given(1))
                    .set(c"task_id", given(0))
                    .set(c"since", given(3))
                    .set(c"priority", priority())
            });
            let tables = [Some(tasks), transitions, waiting];
            // All of them or none.
            let known = tables.iter().all(|table| table.as_ref().is_some_and(Writer::knows_defaults));
            for (table, needed) in tables.into_iter().zip([true, true, !is_delayed]) {
                match table {
                    Some(table) if known && needed => drop(table.append(None)),
                    Some(table) => table.close(),
                    None => {}
                }
            }
            Some(known)
        };
        or_by_executor(past().unwrap_or_default(), fcinfo, STATEMENT)
    }
}

/// Writes how many steps of tasks are active, where that changes: those of `ended` are not any more, those of `ready` are now.
/// Returns the tasks that have none left.
#[pg_extern(
    volatile,
    sql = "create function tasker._write_active_steps(ended bigint[], ready bigint[]) returns bigint[] volatile language c as 'MODULE_PATHNAME', '@FUNCTION_NAME@';"
)]
fn _write_active_steps(fcinfo: FunctionCallInfo) -> Option<AnyElement> {
    const STATEMENT: &CStr = c"
        with change as (
          select x.task_id, sum(x.active) as active
          from (select i >> 16, -1 from unnest($1) i union all select i >> 16, 1 from unnest($2) i) x(task_id, active)
          group by x.task_id
          having sum(x.active) <> 0
        ), changed as (
          update tasker.tasks t
          set active_steps = t.active_steps + c.active
          from change c
          where t.task_id = c.task_id
          returning t.task_id, t.active_steps
        )
        select array_agg(c.task_id) from changed c where c.active_steps = 0";
    // SAFETY: the function is declared with these types.
    unsafe {
        let mut changes: BTreeMap<i64, i32> = BTreeMap::new();
        for (argument, change) in [(0, -1), (1, 1)] {
            for step_id in elements(fcinfo, argument, pg_sys::INT8OID).into_iter().flatten().flatten() {
                *changes.entry(task_of(step_id.value() as i64)).or_default() += change;
            }
        }
        changes.retain(|_, change| *change != 0);
        if changes.is_empty() {
            return None;
        }
        let keys: Vec<_> = changes.keys().map(|task_id| task_id.into_datum()).collect();
        let changes: Vec<i32> = changes.into_values().collect();
        let over = match Writer::open(c"tasks") {
            Some(table) => {
                let (task_id, active) = (table.attribute(c"task_id"), table.attribute(c"active_steps"));
                let mut over = Vec::new();
                table.set(c"active_steps", Some(Column::More(changes))).update_and(KEY, &keys, |row| {
                    if Writer::shown(row, active).value() as i32 == 0 {
                        over.push(Writer::shown(row, task_id));
                    }
                });
                array(over, pg_sys::INT8OID)
            }
            None => by_executor(fcinfo, STATEMENT),
        };
        AnyElement::from_polymorphic_datum(over?, false, pg_sys::INT8ARRAYOID)
    }
}

/// Writes transitions of tasks, one for each id; the other arrays have as many elements, or are NULL.
#[pg_extern(
    volatile,
    sql = "create function tasker._write_task_transitions(task_ids bigint[], at timestamptz, from_states text[], to_states text[], metadata jsonb[] default null) returns boolean volatile language c as 'MODULE_PATHNAME', '@FUNCTION_NAME@';"
)]
fn _write_task_transitions(fcinfo: FunctionCallInfo) -> bool {
    const STATEMENT: &CStr = c"
        insert into tasker.task_transitions (task_id, created_at, from_state, to_state, actor, metadata)
        select i.task_id, $2, i.from_state, i.to_state, session_user, i.metadata
        from unnest($1, $3, $4, $5) i(task_id, from_state, to_state, metadata)";
    // SAFETY: the function is declared with these types.
    unsafe {
        let past = || {
            let table = Writer::open(c"task_transitions")?
                .number(c"task_transition_id", TRANSITIONS)
                .set(c"task_id", Column::each(fcinfo, 0, pg_sys::INT8OID))
                .set(c"created_at", Column::one(fcinfo, 1))
                .set(c"from_state", Column::each(fcinfo, 2, pg_sys::TEXTOID))
                .set(c"to_state", Column::each(fcinfo, 3, pg_sys::TEXTOID))
                .set(c"actor", session_user().map(Column::One))
                .set(c"metadata", Column::each(fcinfo, 4, pg_sys::JSONBOID));
            Some(table.append(None))
        };
        or_by_executor(past().unwrap_or_default(), fcinfo, STATEMENT)
    }
}

/// Writes what waits, a row for each task id: the task itself, where its step is NULL, or a step. The arrays have an element
/// for each row, or are NULL.
#[pg_extern(
    volatile,
    sql = "create function tasker._write_waiting(namespace_ids bigint[], template_ids bigint[], task_ids bigint[], step_ids bigint[], since timestamptz[], priorities smallint[], claimed_by text[] default null, claim_expires_at timestamptz[] default null) returns boolean volatile language c as 'MODULE_PATHNAME', '@FUNCTION_NAME@';"
)]
fn _write_waiting(fcinfo: FunctionCallInfo) -> bool {
    const STATEMENT: &CStr = c"
        insert into tasker.waiting (namespace_id, template_id, task_id, step_id, since, priority, claimed_by, claim_expires_at)
        select i.namespace_id, i.template_id, i.task_id, i.step_id, i.since, i.priority, i.claimed_by, i.claim_expires_at
        from unnest($1, $2, $3, $4, $5, $6, $7, $8)
          i(namespace_id, template_id, task_id, step_id, since, priority, claimed_by, claim_expires_at)";
    // SAFETY: the function is declared with these types.
    unsafe {
        let past = || {
            let table = Writer::open(c"waiting")?
                .set(c"namespace_id", Column::each(fcinfo, 0, pg_sys::INT8OID))
                .set(c"template_id", Column::each(fcinfo, 1, pg_sys::INT8OID))
                .set(c"task_id", Column::each(fcinfo, 2, pg_sys::INT8OID))
                .set(c"step_id", Column::each(fcinfo, 3, pg_sys::INT8OID))
                .set(c"since", Column::each(fcinfo, 4, pg_sys::TIMESTAMPTZOID))
                .set(c"priority", Column::each(fcinfo, 5, pg_sys::INT2OID))
                .set(c"claimed_by", Column::each(fcinfo, 6, pg_sys::TEXTOID))
                .set(c"claim_expires_at", Column::each(fcinfo, 7, pg_sys::TIMESTAMPTZOID));
            Some(table.append(None))
        };
        or_by_executor(past().unwrap_or_default(), fcinfo, STATEMENT)
    }
}
