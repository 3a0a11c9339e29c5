//! Step messages on their way to a worker: the attempts that they are of.

use std::collections::HashMap;

use pgrx::fcinfo::pg_getarg;
use pgrx::pg_sys::{Datum, FunctionCallInfo};
use pgrx::prelude::*;
use pgrx::{AnyElement, Array};

use super::steps;
use super::table::read::{Key, Reader};
use super::values::{array, elements, row, value};
use crate::guc;
use crate::workflow::message::result::step_result;

/// Locks the steps that step messages are of, in the order of their ids, and says by their places in `messages`, from 1, which
/// of these are held, and which of them are `current`: of the attempt that waits for a worker. With the steps, attempts, leases
/// in seconds (`lease`, or the step's own time) and messages of the latter. Not held are messages that are of no step, and
/// those whose step somebody has locked.
#[pg_extern(
    volatile,
    sql = "create function tasker._hold_messages(messages jsonb[], lease double precision, out held bigint[], out current bigint[], out step_ids bigint[], out attempts integer[], out leases double precision[], out current_messages jsonb[]) volatile language c as 'MODULE_PATHNAME', '@FUNCTION_NAME@';"
)]
fn _hold_messages(fcinfo: FunctionCallInfo) -> Option<AnyElement> {
    // SAFETY: the function is declared with these types, and the columns are of these types.
    unsafe {
        let lease: Option<f64> = pg_getarg(fcinfo, 1);
        let contents: Array<&[u8]> = pg_getarg(fcinfo, 0)?;
        let messages = elements(fcinfo, 0, pg_sys::JSONBOID)?;
        let mut of_steps: Vec<(i64, i64, i32, Datum)> = (1..)
            .zip(contents.iter().zip(messages))
            .filter_map(|(n, (content, message))| {
                let names = step_result(content?);
                Some((names.step_id?, n, names.attempt?, message?))
            })
            .collect();
        of_steps.sort_by_key(|(step_id, n, ..)| (*step_id, *n));

        let mut taken = Taken::default();
        let mut steps =
            Reader::open_to_lock(c"steps", steps::KEY, [c"attempts", c"state", c"reported_at", c"template_step_id"]);
        let mut nodes = Reader::open(
            c"template_steps",
            Key { index: c"template_steps_pkey", column: c"template_step_id" },
            [c"timeout_seconds"],
        );
        let mut timeouts = HashMap::new();
        for of_step in of_steps.chunk_by(|(step_id, ..), (next, ..)| step_id == next) {
            check_for_interrupts!();
            let Some((step_id, ..)) = of_step.first() else { continue };
            let Some([attempts, state, reported_at, node]) = steps.lock(*step_id) else { continue };
            taken.held.extend(of_step.iter().map(|(_, n, ..)| Datum::from(*n)));
            let attempts: Option<i32> = value(attempts);
            let waits = value(state) == Some("enqueued") && reported_at.is_none();
            let Some((_, n, attempt, message)) =
                of_step.iter().find(|(_, _, attempt, _)| waits && attempts == Some(*attempt))
            else {
                continue;
            };
            let Some(node) = value::<i64>(node) else { continue };
            let timeout = || {
                let own = nodes.find(node).and_then(|[timeout]| value::<i32>(timeout));
                f64::from(own.unwrap_or_else(guc::step_timeout))
            };
            taken.current.push((*n).into());
            taken.step_ids.push((*step_id).into());
            taken.attempts.push((*attempt).into());
            taken.leases.push(lease.unwrap_or_else(|| *timeouts.entry(node).or_insert_with(timeout)).into_datum()?);
            taken.messages.push(*message);
        }
        steps.close();
        nodes.close();
        taken.into_row(fcinfo)
    }
}

#[derive(Default)]
struct Taken {
    held: Vec<Datum>,
    current: Vec<Datum>,
    step_ids: Vec<Datum>,
    attempts: Vec<Datum>,
    leases: Vec<Datum>,
    messages: Vec<Datum>,
}

impl Taken {
    unsafe fn into_row(self, fcinfo: FunctionCallInfo) -> Option<AnyElement> {
        // SAFETY: as the function is declared.
        unsafe {
            let columns = [
                array(self.held, pg_sys::INT8OID),
                array(self.current, pg_sys::INT8OID),
                array(self.step_ids, pg_sys::INT8OID),
                array(self.attempts, pg_sys::INT4OID),
                array(self.leases, pg_sys::FLOAT8OID),
                array(self.messages, pg_sys::JSONBOID),
            ];
            row(fcinfo, columns)
        }
    }
}
