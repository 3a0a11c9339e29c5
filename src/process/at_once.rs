//! A pass, and a worker's advance, where nothing is special about it: nearly always. All of it in one call, where plpgsql would
//! prepare some thirty expressions in every transaction anew.
//!
//! What is special is seen before anything is written. Then nothing is done but that some rows and queues are locked, and plpgsql
//! goes the long way, which locks them once more.

use std::cell::Cell;

use pgrx::fcinfo::{pg_getarg, pg_getarg_datum};
use pgrx::pg_sys::{Datum, FunctionCallInfo};
use pgrx::prelude::*;
use pgrx::{AnyElement, Array};

use super::endings::{self, Endings};
use super::enqueue::{Place, enqueue};
use super::identity::_identity_is_ours;
use super::look::{Begin, Names, look, look_again, sweep_due};
use super::namespace::_is_full;
use super::queue::{self, REQUESTS, RESULTS};
use super::rare;
use super::results::{hold, tasks_if_held};
use super::spi::as_next_statement;
use super::values::{array, empty_array, row, value};
use crate::workflow::step_id::task_of;

thread_local! {
    static MOVED_ON: Cell<bool> = const { Cell::new(false) };
}

/// Runs a pass, and says whether it went the short way, enqueued something and ended no task.
pub fn moves_on<T>(pass: impl FnOnce() -> T) -> (T, bool) {
    MOVED_ON.set(false);
    (pass(), MOVED_ON.get())
}

/// What has been done about results.
#[derive(Default)]
struct Settled {
    /// Their places, from 1: those that counted, and those that are done with.
    settled: Vec<i64>,
    held: Vec<i64>,
    /// The tasks that may be over.
    over: Vec<Datum>,
    enqueued: i32,
}

/// Settles results that are all successes of one namespace, and enqueues what becomes ready. None where something is special:
/// with `all` also where not every one of them can be settled now, or something that could go waits in another namespace.
///
/// # Safety
/// In a statement; `at` is a timestamptz.
unsafe fn settle(messages: &[Option<&[u8]>], all: bool, waits_in: &[i64], at: Datum) -> Option<Settled> {
    // SAFETY: see above.
    unsafe {
        let attempts = as_next_statement(|| hold(messages.iter().copied(), all));
        let (namespace_id, settled, held) = (attempts.only_namespace?, attempts.settled, attempts.held);
        if all && held.len() < messages.len() || waits_in.iter().any(|waits| *waits != namespace_id) {
            return None;
        }
        if attempts.outcomes.is_empty() {
            return waits_in.is_empty().then_some(Settled { settled, held, ..Settled::default() });
        }
        if attempts.outcomes.iter().any(|outcome| !outcome.success) {
            return None;
        }
        // As it is now that the tasks are locked.
        let (Endings { outcomes, children }, namespace) = &as_next_statement(|| {
            let mut of_tasks = attempts.outcomes.iter().map(|outcome| task_of(outcome.step_id));
            if rare::_any_events() || rare::any_stuck() && of_tasks.any(rare::has_dead_letter) {
                return None;
            }
            let endings = Endings::hold(attempts.outcomes);
            let ending: Vec<i64> = endings.outcomes.iter().map(|outcome| outcome.template_id).collect();
            let place = Place { ending: &ending, ..Place::default() };
            let namespace = place.of(namespace_id, &endings.children.ready);
            namespace.filter(|_| endings.children.held_up.is_empty()).map(|namespace| (endings, namespace))
        })?;
        let over = as_next_statement(|| endings::write(outcomes, children, at));
        let ready = children.ready.iter().copied();
        let enqueued = as_next_statement(|| enqueue(namespace_id, &namespace.name, ready, at));
        Some(Settled { settled, held, over, enqueued })
    }
}

/// What `_advance` does, where nothing is special. Returns the places (from 1) of the results that are settled, and the tasks
/// that may be over, if any. Where something is special nothing is done and `settled` is NULL; `over` is not if tasks have been
/// locked.
#[pg_extern(
    volatile,
    sql = "create function tasker._advance_at_once(results jsonb[], at timestamptz, out settled bigint[], out over bigint[]) volatile strict language c as 'MODULE_PATHNAME', '@FUNCTION_NAME@';"
)]
fn _advance_at_once(fcinfo: FunctionCallInfo) -> Option<AnyElement> {
    // SAFETY: the function is declared with these types.
    unsafe {
        let (results, at): (Array<&[u8]>, _) = (pg_getarg(fcinfo, 0)?, pg_getarg_datum(fcinfo, 1)?);
        let results: Vec<Option<&[u8]>> = results.iter().collect();
        if _identity_is_ours() != Some(true) || tasks_if_held(results.iter().copied()).is_some() {
            return row(fcinfo, [None, None]);
        }
        let Some(done) = settle(&results, false, &[], at) else {
            return row(fcinfo, [None, empty_array(pg_sys::INT8OID)]);
        };
        let settled = array(done.settled.into_iter().map(Datum::from).collect(), pg_sys::INT8OID);
        row(fcinfo, [settled.or_else(|| empty_array(pg_sys::INT8OID)), array(done.over, pg_sys::INT8OID)])
    }
}

/// What `_run_phases` does, where nothing is special: nobody requests a task by queue, no timer is due, nothing waits that could
/// go, and all results are successes of one namespace. The end of tasks (`over`) is for the caller. Returns NULL, and nothing is
/// done, where something is special.
#[pg_extern(
    volatile,
    sql = "create function tasker._pass_at_once(batch integer, at timestamptz) returns tasker._pass volatile strict language c as 'MODULE_PATHNAME', '@FUNCTION_NAME@';"
)]
fn _pass_at_once(fcinfo: FunctionCallInfo) -> Option<AnyElement> {
    // SAFETY: the function is declared with these types.
    unsafe {
        let (batch, at): (i32, Datum) = (pg_getarg(fcinfo, 0)?, pg_getarg_datum(fcinfo, 1)?);
        let first_timer = rare::_first_timer().map(i64::from);
        if first_timer.is_some_and(|due| due <= at.value() as i64)
            || rare::_any_held_events()
            || [REQUESTS, RESULTS].into_iter().any(rare::_any_hidden)
        {
            return None;
        }
        let waits_in: Vec<i64> =
            rare::_namespaces_that_wait().into_iter().flatten().filter(|id| !_is_full(*id)).collect();
        let requests = look(REQUESTS, batch, Begin::Mark, &Names::ALL);
        if !requests.messages.is_empty() {
            look_again(REQUESTS, &requests);
            return None;
        }
        let found = look(RESULTS, batch, Begin::Mark, &Names::ALL);
        let messages: Vec<Option<&[u8]>> = found.messages.iter().map(|message| value(message.content)).collect();
        let done = match messages.len() {
            0 => waits_in.is_empty().then(Settled::default),
            _ => settle(&messages, true, &waits_in, at),
        };
        let Some(done) = done else {
            look_again(RESULTS, &found);
            return None;
        };
        queue::remove(RESULTS, found.messages.iter().map(|message| message.msg_id));

        let (settled, held) = (done.settled.len() as i32, done.held.len() as i32);
        let more = found.again || messages.len() as i32 == batch;
        let first_timer =
            if done.enqueued == 0 { first_timer } else { as_next_statement(rare::_first_timer).map(i64::from) };
        MOVED_ON.set(done.enqueued > 0 && done.over.is_empty());
        let none = 0_i32.into_datum();
        let columns = [
            none, // accepted
            settled.into_datum(),
            (held - settled).into_datum(), // late
            none,                          // rejected
            none,                          // fired
            none,                          // started
            done.enqueued.into_datum(),
            none, // finished
            more.into_datum(),
            next_due(at, first_timer),
            empty_array(pg_sys::INT8OID), // ready
            None,
            array(done.over, pg_sys::INT8OID).or_else(|| empty_array(pg_sys::INT8OID)),
        ];
        row(fcinfo, columns)
    }
}

/// What `_when_to_come_back` says where no message is hidden.
unsafe fn next_due(at: Datum, first_timer: Option<i64>) -> Option<Datum> {
    let sweep = [REQUESTS, RESULTS].into_iter().filter_map(|queue_name| sweep_due(queue_name, 0)).min();
    // SAFETY: it is a timestamptz.
    let retry = unsafe { value(Some(at)) }.and_then(rare::_first_retry_of_namespace).map(i64::from);
    let sweep = sweep.map(|milliseconds| at.value() as i64 + 1000 * i64::from(milliseconds));
    [first_timer, retry, sweep].into_iter().flatten().min().map(Datum::from)
}
