//! A pass, and a worker's advance, where nothing is special about it: nearly always. All of it in one call, where plpgsql would
//! prepare some thirty expressions in every transaction anew.
//!
//! What is special is seen before anything is written. Then nothing is done but that some rows and queues are locked, and plpgsql
//! goes the long way, which locks them once more.

use pgrx::fcinfo::{pg_getarg, pg_getarg_datum};
use pgrx::pg_sys::{Datum, FunctionCallInfo};
use pgrx::prelude::*;
use pgrx::{AnyElement, Array};

use super::caller::has_right_everywhere;
use super::claim::Claim;
use super::clock::clock;
use super::endings::{self, Endings};
use super::enqueue::{Place, enqueue};
use super::finish::finish;
use super::identity::_identity_is_ours;
use super::look::{Begin, Names, look, look_again, sweep_due};
use super::namespace::_is_full;
use super::queue::{self, REQUESTS, RESULTS};
use super::rare;
use super::results::{hold, tasks_if_held};
use super::session::in_subtransaction;
use super::spi::as_next_statement;
use super::steps::InFlight;
use super::values::{bigints, empty_array, row, value};
use super::wake;
use crate::guc;
use crate::workflow::message::result::step_result;
use crate::workflow::step_id::task_of;

/// The most results that one call takes.
pub const MOST_RESULTS: usize = 10_000;

/// What has been done.
#[derive(Default)]
pub struct Done {
    /// Places of results, from 1: those that counted, and those that are done with.
    pub settled: Vec<i64>,
    held: Vec<i64>,
    started: usize,
    enqueued: i32,
    finished: i32,
    /// Whether more waits, which has room.
    more: bool,
}

/// Settles results that are all successes of one namespace, enqueues what becomes ready and what waits for the room, and ends
/// tasks. None where something is special: with `all` also where not every one of them can be settled now, or something that could
/// go waits in another namespace.
///
/// # Safety
/// In a statement; `at` is a timestamptz.
unsafe fn settle(messages: &[Option<&[u8]>], all: bool, waits_in: &[i64], batch: i32, at: Datum) -> Option<Done> {
    // SAFETY: see above.
    unsafe {
        let attempts = as_next_statement(|| hold(messages.iter().copied(), all));
        let (namespace_id, settled, held) = (attempts.only_namespace?, attempts.settled, attempts.held);
        let could_go = |waits: &i64| *waits != namespace_id && !_is_full(*waits);
        if all && held.len() < messages.len() || waits_in.iter().any(could_go) {
            return None;
        }
        if attempts.outcomes.is_empty() {
            let nothing_goes = waits_in.iter().all(|id| _is_full(*id));
            return nothing_goes.then_some(Done { settled, held, ..Done::default() });
        }
        if attempts.outcomes.iter().any(|outcome| !outcome.success) {
            return None;
        }
        // As it is now that the tasks are locked.
        let (endings, going) = as_next_statement(|| {
            let mut of_tasks = attempts.outcomes.iter().map(|outcome| task_of(outcome.step_id));
            if rare::_any_events() || rare::any_stuck() && of_tasks.any(rare::has_dead_letter) {
                return None;
            }
            let endings = Endings::hold(attempts.outcomes);
            if !endings.children.held_up.is_empty() {
                return None;
            }
            let ending: Vec<i64> = endings.outcomes.iter().map(|outcome| outcome.template_id).collect();
            let going = Going::of(namespace_id, &ending, &endings.children.ready, batch, at)?;
            Some((endings, going))
        })?;
        // Where a step goes on into the next, as many are in flight as before.
        let mut in_flight = InFlight::default();
        let over = as_next_statement(|| endings::write(&endings.outcomes, &endings.children, at, &mut in_flight));
        let (started, enqueued, more) = going.go(namespace_id, at, &mut in_flight);
        in_flight.write();
        let finished = finish(over, at);
        Some(Done { settled, held, started, enqueued, finished, more })
    }
}

/// Starts and enqueues what waits in a namespace, as far as it has room. None where something is special.
///
/// # Safety
/// As there.
unsafe fn claim(namespace_id: i64, batch: i32, at: Datum) -> Option<Done> {
    // SAFETY: see above.
    unsafe {
        let going = as_next_statement(|| Going::of(namespace_id, &[], &[], batch, at))?;
        let mut in_flight = InFlight::default();
        let (started, enqueued, more) = going.go(namespace_id, at, &mut in_flight);
        in_flight.write();
        Some(Done { started, enqueued, more, ..Done::default() })
    }
}

/// What goes to the queue of a namespace.
struct Going {
    queue: String,
    /// Became ready, and nothing that has room waits there.
    ready: Vec<i64>,
    claim: Option<Claim>,
    more: bool,
}

impl Going {
    /// # Safety
    /// As there.
    unsafe fn of(namespace_id: i64, ending: &[i64], ready: &[i64], batch: i32, at: Datum) -> Option<Going> {
        let place = Place { ending, ..Place::default() };
        // SAFETY: see above.
        unsafe {
            let namespace = place.namespace(namespace_id)?;
            let rooms = namespace.rooms();
            if !place.concerns(&rooms, ready) && !namespace.anything_waits(&rooms) {
                place.takes(&namespace, ready.len()).then_some(())?;
                return Some(Going { queue: namespace.name, ready: ready.to_vec(), claim: None, more: false });
            }
            let room = place.room(&namespace, rooms)?;
            let wanted = room.in_all.min(usize::try_from(batch).unwrap_or_default());
            if wanted == 0 && ready.is_empty() {
                return Some(Going { queue: namespace.name, ready: vec![], claim: None, more: false });
            }
            let claim = as_next_statement(|| Claim::of(namespace_id, ready, wanted, &room, at.value() as i64))?;
            let more = claim.more && room.in_all > wanted;
            Some(Going { queue: namespace.name, ready: vec![], claim: Some(claim), more })
        }
    }

    /// Returns how many tasks were started, how many steps were enqueued, and whether there is more.
    unsafe fn go(self, namespace_id: i64, at: Datum, in_flight: &mut InFlight) -> (usize, i32, bool) {
        // SAFETY: as there.
        unsafe {
            let (ready, started) = match self.claim {
                Some(claim) => as_next_statement(|| claim.take(at)),
                None => (self.ready, 0),
            };
            let enqueued = as_next_statement(|| enqueue(namespace_id, &self.queue, ready.into_iter(), at, in_flight));
            (started, enqueued, self.more)
        }
    }
}

/// What `_advance` does about a worker's results, where nothing is special. None where something is: nothing is done then, but
/// tasks may be locked.
///
/// # Safety
/// In a statement; `at` is a timestamptz.
unsafe fn advance(results: &[Option<&[u8]>], at: Datum) -> Option<Done> {
    // SAFETY: see above.
    unsafe { if may_settle(results) { settle_here(results, at) } else { None } }
}

/// In a worker's call.
unsafe fn settle_here(results: &[Option<&[u8]>], at: Datum) -> Option<Done> {
    // SAFETY: as there.
    let done = unsafe { settle(results, false, &[], guc::batch_size(), at) };
    if done.as_ref().is_some_and(|done| done.more) {
        wake::_wake();
    }
    done
}

/// What becomes of results that a worker delivers to settle them in his own call.
#[derive(Clone, Copy)]
pub enum Delivered {
    /// All of them are settled.
    Settled,
    /// Those that are not among these (an array of places, from 1) have to be queued.
    QueueOthers(Datum),
    /// The long way. Whether it has been seen that the call may advance, and that these results do not at once.
    WithCare { tried: bool },
}

/// Whether it is plain that a call may advance with so many results: its locks are the first thing that its transaction holds.
pub fn may_advance(count: usize) -> bool {
    // SAFETY: reads variables of this process.
    let begins_transaction = unsafe {
        pg_sys::XactIsoLevel == pg_sys::XACT_READ_COMMITTED as i32
            && pg_sys::GetTopTransactionIdIfAny() == pg_sys::InvalidTransactionId
    };
    count <= MOST_RESULTS && begins_transaction && has_right_everywhere("worker")
}

/// Settles a worker's results in a call that may do that. What breaks in it (a row that was made inconsistent by hand, a message
/// that is too large) must not keep the work from being delivered.
///
/// # Safety
/// In a statement.
pub unsafe fn deliver(results: &[Option<&[u8]>]) -> Delivered {
    // SAFETY: see above.
    let advance = || unsafe { as_next_statement(|| advance(results, clock().into_datum()?).map(|done| done.settled)) };
    match in_subtransaction("an advance", advance) {
        Some(settled) if settled.len() < results.len() => {
            places(settled).map_or(Delivered::WithCare { tried: true }, Delivered::QueueOthers)
        }
        Some(_) => Delivered::Settled,
        None => Delivered::WithCare { tried: true },
    }
}

/// Whether this engine's work is done here, all of these results are successes, and nobody holds a task of theirs.
fn may_settle(results: &[Option<&[u8]>]) -> bool {
    let is_success = |result: &Option<&[u8]>| result.is_some_and(|content| step_result(content).success);
    _identity_is_ours() == Some(true)
        && results.iter().all(is_success)
        && tasks_if_held(results.iter().copied()).is_none()
}

/// The same for SQL. Returns the places (from 1) of the results that are settled; NULL where something is special, and whether
/// the caller `holds` tasks then.
#[pg_extern(
    volatile,
    sql = "create function tasker._advance_at_once(results jsonb[], at timestamptz, out settled bigint[], out holds boolean) volatile strict language c as 'MODULE_PATHNAME', '@FUNCTION_NAME@';"
)]
fn _advance_at_once(fcinfo: FunctionCallInfo) -> Option<AnyElement> {
    // SAFETY: the function is declared with these types.
    unsafe {
        let (results, at): (Array<&[u8]>, _) = (pg_getarg(fcinfo, 0)?, pg_getarg_datum(fcinfo, 1)?);
        let results: Vec<Option<&[u8]>> = results.iter().collect();
        let may_settle = may_settle(&results);
        let done = if may_settle { settle_here(&results, at) } else { None };
        row(fcinfo, [done.and_then(|done| places(done.settled)), may_settle.into_datum()])
    }
}

/// An array of places.
fn places(list: Vec<i64>) -> Option<Datum> {
    bigints(list).or_else(|| empty_array(pg_sys::INT8OID))
}

/// What a pass has done.
pub struct Passed {
    pub settled: i32,
    pub late: i32,
    pub started: i32,
    pub enqueued: i32,
    pub finished: i32,
    /// Whether there is more to do at once.
    pub more: bool,
    /// When the next timer is due, in microseconds of the server's epoch.
    pub next_due_at: Option<i64>,
}

/// What `_run_phases` does, where nothing is special: nobody requests a task by queue, no timer is due, all results are successes of
/// one namespace, and what waits and could go is of the same. None, and nothing is done, where something is special.
///
/// # Safety
/// In a statement; `at` is a timestamptz.
pub unsafe fn pass(batch: i32, at: Datum) -> Option<Passed> {
    // SAFETY: see above.
    unsafe {
        let first_timer = rare::_first_timer().map(i64::from);
        if first_timer.is_some_and(|due| due <= at.value() as i64)
            || rare::_any_held_events()
            || [REQUESTS, RESULTS].into_iter().any(rare::_any_hidden)
        {
            return None;
        }
        let waits_in: Vec<i64> = rare::_namespaces_that_wait().into_iter().flatten().collect();
        let requests = look(REQUESTS, batch, Begin::Mark, &Names::ALL);
        if !requests.messages.is_empty() {
            look_again(REQUESTS, &requests);
            return None;
        }
        let found = look(RESULTS, batch, Begin::Mark, &Names::ALL);
        let messages: Vec<Option<&[u8]>> = found.messages.iter().map(|message| value(message.content)).collect();
        let done = match (messages.len(), &waits_in[..]) {
            (0, []) => Some(Done::default()),
            (0, [namespace_id]) => {
                claim(*namespace_id, batch, at).or_else(|| _is_full(*namespace_id).then(Done::default))
            }
            (0, _) => match waits_in.iter().filter(|id| !_is_full(**id)).collect::<Vec<_>>()[..] {
                [] => Some(Done::default()),
                [namespace_id] => claim(*namespace_id, batch, at),
                _ => None,
            },
            _ => settle(&messages, true, &waits_in, batch, at),
        };
        let Some(done) = done else {
            look_again(RESULTS, &found);
            return None;
        };
        queue::remove(RESULTS, found.messages.iter().map(|message| message.msg_id));

        let first_timer =
            if done.enqueued == 0 { first_timer } else { as_next_statement(rare::_first_timer).map(i64::from) };
        let settled = done.settled.len() as i32;
        Some(Passed {
            settled,
            late: done.held.len() as i32 - settled,
            started: done.started as i32,
            enqueued: done.enqueued,
            finished: done.finished,
            more: found.again || messages.len() as i32 == batch || done.more,
            next_due_at: next_due(at, first_timer),
        })
    }
}

/// The same for SQL. Returns NULL where something is special.
#[pg_extern(
    volatile,
    sql = "create function tasker._pass_at_once(batch integer, at timestamptz) returns tasker._pass volatile strict language c as 'MODULE_PATHNAME', '@FUNCTION_NAME@';"
)]
fn _pass_at_once(fcinfo: FunctionCallInfo) -> Option<AnyElement> {
    // SAFETY: the function is declared with these types.
    unsafe {
        let done = pass(pg_getarg(fcinfo, 0)?, pg_getarg_datum(fcinfo, 1)?)?;
        let none = 0_i32.into_datum();
        let columns = [
            none, // accepted
            done.settled.into_datum(),
            done.late.into_datum(),
            none, // rejected
            none, // fired
            done.started.into_datum(),
            done.enqueued.into_datum(),
            done.finished.into_datum(),
            done.more.into_datum(),
            done.next_due_at.map(Datum::from),
            empty_array(pg_sys::INT8OID), // ready
            None,
            empty_array(pg_sys::INT8OID), // over
        ];
        row(fcinfo, columns)
    }
}

/// What `_when_to_come_back` says where no message is hidden.
unsafe fn next_due(at: Datum, first_timer: Option<i64>) -> Option<i64> {
    let sweep = [REQUESTS, RESULTS].into_iter().filter_map(|queue_name| sweep_due(queue_name, 0)).min();
    // SAFETY: it is a timestamptz.
    let retry = unsafe { value(Some(at)) }.and_then(rare::_first_retry_of_namespace).map(i64::from);
    let sweep = sweep.map(|milliseconds| at.value() as i64 + 1000 * i64::from(milliseconds));
    [first_timer, retry, sweep].into_iter().flatten().min()
}
