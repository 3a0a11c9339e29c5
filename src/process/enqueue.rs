//! Ready steps get their messages, and their attempts begin.

use std::ffi::CStr;
use std::ptr::null;

use pgrx::Array;
use pgrx::fcinfo::{pg_getarg, pg_getarg_datum};
use pgrx::pg_sys::{Datum, FunctionCallInfo};
use pgrx::prelude::*;

use super::messages::step_messages;
use super::queue;
use super::rare;
use super::steps::{Transitions, write_enqueued, write_in_flight, write_timers, write_transitions};
use super::table::Column;
use super::table::index::{List, Operator};
use super::table::read::{Key, Reader};
use super::values::{Elements, array, value};
use super::wake;

/// Sends the messages of ready steps of one namespace to its queue, in the order given, and begins their attempts. Returns how
/// many were sent. The caller holds the tasks locked.
#[pg_extern(
    volatile,
    sql = "create function tasker._enqueue(namespace_id bigint, namespace text, step_ids bigint[], at timestamptz) returns integer volatile strict language c as 'MODULE_PATHNAME', '@FUNCTION_NAME@';"
)]
fn _enqueue(fcinfo: FunctionCallInfo) -> Option<i32> {
    // SAFETY: the function is declared with these types.
    unsafe {
        let (namespace_id, namespace): (i64, &str) = (pg_getarg(fcinfo, 0)?, pg_getarg(fcinfo, 1)?);
        let step_ids: Array<i64> = pg_getarg(fcinfo, 2)?;
        Some(enqueue(namespace_id, namespace, step_ids.iter().flatten(), pg_getarg_datum(fcinfo, 3)?))
    }
}

/// Enqueues what became ready in a namespace, where that needs no order and no lock: nothing else waits there, no task of it is
/// claimed from outside, no template has a limit of its own, and the namespace has none either, or no more is enqueued than the
/// caller has `freed` in this transaction. Returns how many were sent; NULL, and nothing is done, where that does not hold:
/// _claim_namespace knows what to do then. `waits`: whether anything waits, where the caller has looked.
#[pg_extern(
    volatile,
    sql = "create function tasker._enqueue_at_once(namespace_id bigint, step_ids bigint[], freed integer, at timestamptz, waits boolean default null) returns integer volatile language c as 'MODULE_PATHNAME', '@FUNCTION_NAME@';"
)]
fn _enqueue_at_once(fcinfo: FunctionCallInfo) -> Option<i32> {
    // SAFETY: the function is declared with these types.
    unsafe {
        let (namespace_id, freed): (i64, i32) = (pg_getarg(fcinfo, 0)?, pg_getarg(fcinfo, 2)?);
        let step_ids: Option<Array<i64>> = pg_getarg(fcinfo, 1);
        let count = step_ids.as_ref().map_or(0, Array::len) as i64;
        // Last of all: where nothing waits, this may take longest.
        let waits = || pg_getarg(fcinfo, 4).unwrap_or_else(|| rare::_anything_waits(namespace_id));
        let Some(step_ids) = step_ids.filter(|_| count > 0) else { return (!waits()).then_some(0) };
        let namespace = Namespace::read(namespace_id).filter(|namespace| namespace.takes(count, freed.into()))?;
        let name = namespace.name.as_str();
        if rare::any_limited_template(namespace_id) || rare::_any_claims() {
            return None;
        }
        let queue = format!("{name}_queue");
        if queue::table(&queue).is_none() || queue::_queue_is_held(&queue) || waits() {
            return None;
        }
        Some(enqueue(namespace_id, name, step_ids.iter().flatten(), pg_getarg_datum(fcinfo, 3)?))
    }
}

/// Whether it is plain that a namespace takes nothing now: it is paused, or as much is in flight as may be. Where it is not plain
/// _capacity knows.
#[pg_extern(stable)]
fn _is_full(namespace_id: i64) -> bool {
    // SAFETY: in a statement.
    unsafe { Namespace::read(namespace_id) }.is_some_and(|namespace| namespace.is_full())
}

/// What decides whether a namespace takes steps.
struct Namespace {
    name: String,
    is_paused: bool,
    /// It could not be enqueued to.
    has_fault: bool,
    max_in_flight: Option<i32>,
    in_flight: i64,
    /// How many rows that is the sum of.
    pieces: usize,
}

/// More pieces are folded into one: see _capacity, whose rules these are where it needs no lock.
const MOST_PIECES: usize = 64;

impl Namespace {
    unsafe fn read(namespace_id: i64) -> Option<Namespace> {
        const KEY: Key = Key { index: c"namespaces_pkey", column: c"namespace_id" };
        // SAFETY: in a statement, and the columns are of these types.
        unsafe {
            let columns = [c"name", c"paused", c"fault", c"max_in_flight"];
            let mut namespaces = Reader::open(c"namespaces", KEY, columns);
            let row = namespaces.find(namespace_id).and_then(|[name, paused, fault, max_in_flight]| {
                Some((value::<String>(name)?, value::<bool>(paused)?, fault.is_some(), value(max_in_flight)))
            });
            namespaces.close();
            let (name, is_paused, has_fault, max_in_flight) = row?;
            let index = c"in_flight_deltas_by_namespace";
            let mut deltas = List::open(c"in_flight_deltas", index, &[Operator::BIGINT_IS], c"delta");
            let pieces = deltas.all(&[namespace_id.into()]);
            deltas.close();
            let in_flight = pieces.iter().map(|delta| i64::from(delta.value() as i32)).sum();
            Some(Namespace { name, is_paused, has_fault, max_in_flight, in_flight, pieces: pieces.len() })
        }
    }

    /// Whether it takes so many steps from somebody who has ended so many attempts. The number in flight does not rise by
    /// what fills these places, unless the limit was lowered below it.
    fn takes(&self, count: i64, freed: i64) -> bool {
        let has_room = self.max_in_flight.is_none_or(|most| count <= freed.min(i64::from(most) - self.in_flight));
        !self.is_paused && !self.has_fault && self.pieces <= MOST_PIECES && has_room
    }

    fn is_full(&self) -> bool {
        let has_no_room = self.max_in_flight.is_some_and(|most| self.in_flight >= i64::from(most));
        self.pieces <= MOST_PIECES && (self.is_paused || has_no_room)
    }
}

/// # Safety
/// In a statement; `at` is a timestamptz.
unsafe fn enqueue(namespace_id: i64, namespace: &str, step_ids: impl Iterator<Item = i64>, at: Datum) -> i32 {
    // SAFETY: see above; columns and arguments are of these types.
    unsafe {
        let mut time = [0; pg_sys::MAXDATELEN as usize + 1];
        pg_sys::JsonEncodeDateTime(time.as_mut_ptr(), at, pg_sys::TIMESTAMPTZOID, null());
        let messages = step_messages(step_ids, CStr::from_ptr(time.as_ptr()).to_bytes());
        if messages.is_empty() {
            return 0;
        }
        let contents = array(messages.iter().map(|message| message.content).collect(), pg_sys::JSONBOID);
        let msg_ids = queue::send(&format!("{namespace}_queue"), contents);

        let ids: Elements = messages.iter().map(|message| message.attempt.step_id.into_datum()).collect();
        let attempts: Elements = messages.iter().map(|message| message.attempt.number.into_datum()).collect();
        write_enqueued(&ids, attempts.clone(), msg_ids, at);
        let transitions = Transitions {
            step_ids: ids,
            attempts,
            from_states: messages.iter().map(|message| Some(message.state)).collect(),
            to_state: "enqueued",
            metadata: Column::Null,
            took_ms: Column::Null,
        };
        write_transitions(transitions, at);
        write_timers("queued", messages.iter().map(|message| (message.attempt, message.timeout)), at);
        write_in_flight(messages.iter().map(|message| (namespace_id, message.template_id)), 1);
        wake::_wake_namespace(namespace_id);
        messages.len() as i32
    }
}
