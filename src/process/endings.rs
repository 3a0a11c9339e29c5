//! The end of attempts that succeeded: all that is written for it.

use std::collections::BTreeSet;

use pgrx::AnyElement;
use pgrx::fcinfo::pg_getarg_datum;
use pgrx::pg_sys::{Datum, FunctionCallInfo};
use pgrx::prelude::*;

use super::children::{Children, Parent};
use super::outcome::Outcome;
use super::rare;
use super::spi::as_next_statement;
use super::steps::{InFlight, Transitions, write_complete, write_transitions};
use super::table::Column;
use super::values::{Composite, Elements, array, bigints, elements, row, value};
use crate::workflow::jsonb;
use crate::workflow::step_id::task_of;

/// Ends the attempts among these that succeeded, and counts all of them as in flight no more. Says which steps are ready then,
/// which tasks have nothing active left, which steps are `held_up` (somebody has locked a child of theirs: nothing is done
/// about them), and whether any attempt `failed`: what that means is for others to do. Besides, NULL nearly always: the ends
/// `to_publish`, where any template asks for some, and the tasks that go on or end, where any is known as `stuck`.
#[pg_extern(
    volatile,
    sql = "create function tasker._end_successes(outcomes tasker._outcome[], at timestamptz, out ready bigint[], out over bigint[], out held_up bigint[], out failed boolean, out to_publish bigint[], out stuck bigint[]) volatile strict language c as 'MODULE_PATHNAME', '@FUNCTION_NAME@';"
)]
fn _end_successes(fcinfo: FunctionCallInfo) -> Option<AnyElement> {
    // SAFETY: the function is declared with these types.
    unsafe {
        let at = pg_getarg_datum(fcinfo, 1)?;
        let outcomes = outcomes(fcinfo);
        let failed = outcomes.iter().any(|outcome| !outcome.success);
        let Endings { outcomes, children } = &Endings::hold(outcomes);
        let mut in_flight = InFlight::default();
        let over = as_next_statement(|| {
            let over = write(outcomes, children, at, &mut in_flight);
            in_flight.write();
            over
        });
        let to_publish = rare::_any_events().then(|| bigints(succeeded(outcomes).map(|outcome| outcome.step_id)));
        let tasks: BTreeSet<i64> = outcomes.iter().map(|outcome| task_of(outcome.step_id)).collect();
        let stuck = rare::any_stuck().then(|| bigints(tasks));
        let columns = [
            bigints(children.ready.iter().copied()),
            array(over, pg_sys::INT8OID),
            bigints(children.held_up.iter().copied()),
            failed.into_datum(),
            to_publish.flatten(),
            stuck.flatten(),
        ];
        row(fcinfo, columns)
    }
}

/// Attempts that can end, and the children of those that succeeded.
pub struct Endings {
    pub outcomes: Vec<Outcome>,
    pub children: Children,
}

impl Endings {
    /// Leaves out the successes with a child that somebody has locked.
    ///
    /// # Safety
    /// In a statement; the caller holds the tasks and steps.
    pub unsafe fn hold(mut outcomes: Vec<Outcome>) -> Endings {
        let parent = |outcome: &Outcome| Parent { step_id: outcome.step_id, template_id: outcome.template_id };
        let parents: Vec<Parent> = succeeded(&outcomes).map(parent).collect();
        // SAFETY: see above.
        let children = unsafe { Children::hold(&parents) };
        // A failure counts whatever becomes of its children.
        outcomes.retain(|outcome| !(outcome.success && children.held_up.contains(&outcome.step_id)));
        Endings { outcomes, children }
    }
}

/// Writes what the end of attempts means, and returns the tasks with nothing active left; of failures nothing but that they are not
/// `in_flight` any more, which is for the caller to write.
///
/// # Safety
/// In a statement of its own after that in which they were held; `at` is a timestamptz.
pub unsafe fn write(outcomes: &[Outcome], children: &Children, at: Datum, in_flight: &mut InFlight) -> Vec<Datum> {
    // SAFETY: see above.
    unsafe {
        complete(outcomes, at);
        outcomes.iter().for_each(|outcome| in_flight.add(outcome.namespace_id, outcome.template_id, -1));
        children.release(succeeded(outcomes).map(|outcome| outcome.step_id))
    }
}

fn succeeded(outcomes: &[Outcome]) -> impl Iterator<Item = &Outcome> {
    outcomes.iter().filter(|outcome| outcome.success)
}

unsafe fn outcomes(fcinfo: FunctionCallInfo) -> Vec<Outcome> {
    // SAFETY: the argument is an array of outcomes, whose columns are of these types.
    unsafe {
        let composite = Composite::element_of_argument(fcinfo, 0);
        let read = |one: Datum| Outcome::of(composite.columns(one));
        elements(fcinfo, 0, composite.oid()).into_iter().flatten().flatten().filter_map(read).collect()
    }
}

/// Writes that the successes are complete.
unsafe fn complete(outcomes: &[Outcome], at: Datum) {
    let each = |column: fn(&Outcome) -> Option<Datum>| succeeded(outcomes).map(column).collect::<Elements>();
    let step_ids = each(|outcome| outcome.step_id.into_datum());
    if step_ids.is_empty() {
        return;
    }
    // SAFETY: the columns are of these types.
    unsafe {
        write_complete(&step_ids, each(|outcome| outcome.results), at);
        let transitions = Transitions {
            step_ids,
            attempts: each(|outcome| outcome.attempt),
            from_states: each(|outcome| outcome.from_state),
            to_state: "complete",
            metadata: Column::Each(each(|outcome| {
                value::<Vec<u8>>(outcome.metadata).and_then(under_its_name).into_datum()
            })),
            took_ms: Column::Each(each(|outcome| outcome.took_ms)),
        };
        write_transitions(transitions, at);
    }
}

/// The metadata of a transition.
fn under_its_name(content: Vec<u8>) -> Option<Vec<u8>> {
    jsonb::object(content.len() + 64, &["orchestration_metadata"], |children| children.jsonb(&content)).ok()
}
