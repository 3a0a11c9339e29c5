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
    // SAFETY: the function is declared with these types.
    unsafe {
        let contents: Array<&[u8]> = pg_getarg(fcinfo, 0)?;
        let messages = elements(fcinfo, 0, pg_sys::JSONBOID)?;
        let mut deliveries: Vec<Delivery> = (1..)
            .zip(contents.iter().zip(messages))
            .filter_map(|(n, (content, message))| {
                let names = step_result(content?);
                Some(Delivery { step_id: names.step_id?, n, attempt: names.attempt?, message: message? })
            })
            .collect();
        deliveries.sort_by_key(|delivery| (delivery.step_id, delivery.n));
        let mut taken = Taken::open(pg_getarg(fcinfo, 1));
        for of_step in deliveries.chunk_by(|one, next| one.step_id == next.step_id) {
            check_for_interrupts!();
            taken.take(of_step);
        }
        taken.into_row(fcinfo)
    }
}

/// A message, and the attempt that it names.
struct Delivery {
    step_id: i64,
    n: i64,
    attempt: i32,
    message: Datum,
}

struct Taken {
    steps: Reader<4>,
    nodes: Reader<1>,
    lease: Option<f64>,
    /// The times of steps of templates, in seconds.
    timeouts: HashMap<i64, f64>,

    held: Vec<Datum>,
    current: Vec<Datum>,
    step_ids: Vec<Datum>,
    attempts: Vec<Datum>,
    leases: Vec<Datum>,
    messages: Vec<Datum>,
}

impl Taken {
    unsafe fn open(lease: Option<f64>) -> Taken {
        let columns = [c"attempts", c"state", c"reported_at", c"template_step_id"];
        let by_node = Key { index: c"template_steps_pkey", column: c"template_step_id" };
        // SAFETY: in a statement, and closed before it ends.
        unsafe {
            Taken {
                steps: Reader::open_to_lock(c"steps", steps::KEY, columns),
                nodes: Reader::open(c"template_steps", by_node, [c"timeout_seconds"]),
                lease,
                timeouts: HashMap::new(),
                held: Vec::new(),
                current: Vec::new(),
                step_ids: Vec::new(),
                attempts: Vec::new(),
                leases: Vec::new(),
                messages: Vec::new(),
            }
        }
    }

    /// Takes the messages of one step: of one attempt one of them.
    unsafe fn take(&mut self, deliveries: &[Delivery]) -> Option<()> {
        let step_id = deliveries.first()?.step_id;
        // SAFETY: the columns are of these types.
        let (attempts, state, is_reported, node): (i32, &str, bool, i64) = unsafe {
            let [attempts, state, reported_at, node] = self.steps.lock(step_id)?;
            (value(attempts)?, value(state)?, reported_at.is_some(), value(node)?)
        };
        self.held.extend(deliveries.iter().map(|delivery| Datum::from(delivery.n)));
        if state != "enqueued" || is_reported {
            return None;
        }
        let delivery = deliveries.iter().find(|delivery| delivery.attempt == attempts)?;
        let timeout = self.timeout(node);
        self.current.push(delivery.n.into());
        self.step_ids.push(step_id.into());
        self.attempts.push(attempts.into());
        self.leases.extend(self.lease.unwrap_or(timeout).into_datum());
        self.messages.push(delivery.message);
        Some(())
    }

    fn timeout(&mut self, node: i64) -> f64 {
        *self.timeouts.entry(node).or_insert_with(|| {
            // SAFETY: the column is an integer.
            let own = self.nodes.find(node).and_then(|[timeout]| unsafe { value::<i32>(timeout) });
            f64::from(own.unwrap_or_else(guc::step_timeout))
        })
    }

    unsafe fn into_row(self, fcinfo: FunctionCallInfo) -> Option<AnyElement> {
        self.steps.close();
        self.nodes.close();
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
