//! The end of tasks: what the engine's last phase (`_finish`) does, where nobody has claimed any, and nobody is to be told.

use pgrx::pg_sys::Datum;
use pgrx::prelude::*;

use super::spi::{as_next_statement, run};
use super::table::read::Reader;
use super::table::{Column, Writer};
use super::tasks::{KEY, TaskTransitions};
use super::values::{array, copy, value};
use super::{rare, wake};
use crate::workflow::jsonb;

/// A task that ends.
struct End {
    task_id: Datum,
    state: &'static str,
    /// Why it was stopped, if it was: a text.
    stopping: Option<Datum>,
}

/// Ends those of these tasks that have nothing active left. Returns how many.
///
/// # Safety
/// In a statement; they are bigints, the caller holds the tasks, and `at` is a timestamptz.
pub unsafe fn finish(task_ids: Vec<Datum>, at: Datum) -> i32 {
    if task_ids.is_empty() {
        return 0;
    }
    // SAFETY: see above.
    unsafe {
        as_next_statement(|| {
            if rare::_any_claims() || rare::_any_events() {
                return finish_with_care(task_ids, at);
            }
            let ends = ends(&task_ids);
            if !ends.is_empty() {
                write(&ends, at);
                wake::_wake_namespace(0);
            }
            ends.len() as i32
        })
    }
}

/// Where claims end with their tasks, or somebody is to be told.
unsafe fn finish_with_care(task_ids: Vec<Datum>, at: Datum) -> i32 {
    let types = [pg_sys::INT8ARRAYOID, pg_sys::TIMESTAMPTZOID];
    // SAFETY: the arguments are of these types.
    unsafe {
        let rows = run(c"select tasker._finish_tasks($1, $2)", types, [array(task_ids, pg_sys::INT8OID), Some(at)]);
        rows.first().and_then(|[finished]| value(*finished)).unwrap_or_default()
    }
}

unsafe fn ends(task_ids: &[Datum]) -> Vec<End> {
    // SAFETY: in a statement, and the columns are of these types.
    unsafe {
        let columns = [c"state", c"active_steps", c"error_steps", c"stopping"];
        let mut tasks = Reader::open(c"tasks", KEY, columns);
        let end = |task_id: &Datum| {
            let [state, active, errors, stopping] = tasks.find(task_id.value() as i64)?;
            let is_over = value(state) == Some("in_progress") && value(active) == Some(0);
            let failed = value::<i32>(errors) > Some(0) || stopping.is_some();
            let state = if failed { "error" } else { "complete" };
            is_over.then(|| End { task_id: *task_id, state, stopping: copy(stopping) })
        };
        let ends = task_ids.iter().filter_map(end).collect();
        tasks.close();
        ends
    }
}

unsafe fn write(ends: &[End], at: Datum) {
    let each = |column: fn(&End) -> Option<Datum>| ends.iter().map(column).collect::<Vec<_>>();
    let (task_ids, states) = (each(|end| Some(end.task_id)), each(|end| end.state.into_datum()));
    // SAFETY: the columns are of these types.
    unsafe {
        Writer::open(c"tasks")
            .set(c"state", Column::Each(states.clone()))
            .set(c"finished_at", Column::One(at))
            .update(KEY, &task_ids);
        let reason = |end: &End| {
            let why = value::<&[u8]>(end.stopping)?;
            jsonb::object(why.len() + 64, &["reason"], |children| children.string(why)).ok().into_datum()
        };
        let transitions = TaskTransitions {
            task_ids: Column::Each(task_ids),
            from_states: Some(Column::text("in_progress")),
            to_states: Some(Column::Each(states)),
            metadata: Some(Column::Each(ends.iter().map(reason).collect())),
        };
        transitions.write(at);
    }
}
