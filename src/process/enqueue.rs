//! Ready steps get their messages, and their attempts begin.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CStr;
use std::ptr::null;

use pgrx::Array;
use pgrx::fcinfo::{pg_getarg, pg_getarg_datum};
use pgrx::pg_sys::{Datum, FunctionCallInfo};
use pgrx::prelude::*;

use super::lock;
use super::messages::step_messages;
use super::namespace::{_is_full, Namespace};
use super::queue;
use super::rare;
use super::spi::as_next_statement;
use super::steps::{InFlight, Transitions, write_enqueued, write_timers, write_transitions};
use super::table::Column;
use super::table::read::Reader;
use super::tasks;
use super::values::{Elements, value};
use super::wake;
use crate::workflow::step_id::task_of;

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
        let mut in_flight = InFlight::default();
        let at = pg_getarg_datum(fcinfo, 3)?;
        let sent = enqueue(namespace_id, namespace, step_ids.iter().flatten(), at, &mut in_flight);
        in_flight.write();
        Some(sent)
    }
}

/// Enqueues what became ready in a namespace, where that needs no order and no lock: nothing else waits there that has room, no
/// task of it is claimed from outside, the templates have no limit of their own, and the namespace has none either, or no more
/// is enqueued than the caller has `freed` in this transaction. Returns how many were sent; NULL, and nothing is done, where
/// that does not hold: _claim_namespace knows what to do then. `waits`: whether anything waits, where the caller has looked.
#[pg_extern(
    volatile,
    sql = "create function tasker._enqueue_at_once(namespace_id bigint, step_ids bigint[], freed integer, at timestamptz, waits boolean default null) returns integer volatile language c as 'MODULE_PATHNAME', '@FUNCTION_NAME@';"
)]
fn _enqueue_at_once(fcinfo: FunctionCallInfo) -> Option<i32> {
    // SAFETY: the function is declared with these types.
    unsafe {
        let (namespace_id, freed): (i64, i32) = (pg_getarg(fcinfo, 0)?, pg_getarg(fcinfo, 2)?);
        let step_ids: Option<Array<i64>> = pg_getarg(fcinfo, 1);
        let step_ids: Vec<i64> = step_ids.iter().flat_map(Array::iter).flatten().collect();
        let known_to_wait: Option<bool> = pg_getarg(fcinfo, 4);
        if step_ids.is_empty() {
            let waits = known_to_wait.unwrap_or_else(|| rare::_anything_waits(namespace_id));
            return (!waits || _is_full(namespace_id)).then_some(0);
        }
        let place =
            Place { freed: usize::try_from(freed).unwrap_or_default(), waits: known_to_wait, ..Place::default() };
        let namespace = place.of(namespace_id, &step_ids)?;
        let mut in_flight = InFlight::default();
        let at = pg_getarg_datum(fcinfo, 3)?;
        let sent = enqueue(namespace_id, &namespace.name, step_ids.into_iter(), at, &mut in_flight);
        in_flight.write();
        Some(sent)
    }
}

/// Where steps may be enqueued at once.
#[derive(Default)]
pub struct Place<'a> {
    /// How many attempts of the namespace the caller has ended.
    pub freed: usize,
    /// Those that it is about to end: their templates.
    pub ending: &'a [i64],
    /// Whether anything waits there, where the caller has looked.
    pub waits: Option<bool>,
}

impl Place<'_> {
    /// The namespace, where it takes these steps.
    ///
    /// # Safety
    /// In a statement.
    pub unsafe fn of(&self, namespace_id: i64, step_ids: &[i64]) -> Option<Namespace> {
        // SAFETY: see above.
        unsafe {
            let namespace = self.namespace(namespace_id)?;
            let rooms = namespace.rooms();
            // Last of all: where nothing waits, to see that may take longest.
            let waits = || self.waits.unwrap_or_else(|| namespace.anything_waits(&rooms));
            let takes = self.takes(&namespace, step_ids.len()) && !self.concerns(&rooms, step_ids);
            (takes && !waits()).then_some(namespace)
        }
    }

    /// The namespace, where nothing keeps steps from it but a limit, and nobody outside has claimed any.
    ///
    /// # Safety
    /// In a statement.
    pub unsafe fn namespace(&self, namespace_id: i64) -> Option<Namespace> {
        // SAFETY: see above.
        unsafe {
            let namespace = Namespace::read(namespace_id).filter(Namespace::is_open)?;
            if rare::_any_claims() {
                return None;
            }
            let queue = format!("{}_queue", namespace.name);
            (queue::table(&queue).is_some() && !queue::_queue_is_held(&queue)).then_some(namespace)
        }
    }

    /// Whether the namespace's own limit lets it take so many steps.
    pub fn takes(&self, namespace: &Namespace, count: usize) -> bool {
        let ending = self.ending.len();
        namespace.takes(count, self.freed + ending, ending)
    }

    /// Whether what ends, or one of these steps, is of a template that has a limit.
    ///
    /// # Safety
    /// In a statement.
    pub unsafe fn concerns(&self, rooms: &BTreeMap<i64, i64>, step_ids: &[i64]) -> bool {
        // SAFETY: see above.
        self.ending.iter().any(|template| rooms.contains_key(template)) || unsafe { any_of(step_ids, rooms) }
    }

    /// How many steps the namespace takes, whoever else enqueues there, and how many of each template that has a limit: what the
    /// caller ends, or more, under a lock, as where a template is limited. None where somebody else has that.
    ///
    /// # Safety
    /// In a statement.
    pub unsafe fn room(&self, namespace: &Namespace, rooms: BTreeMap<i64, i64>) -> Option<Room> {
        if rooms.is_empty() && namespace.room().is_none_or(|room| room <= 0) {
            return Some(self.places(namespace, rooms));
        }
        if !lock::try_lock("namespace", namespace.id.to_string().as_bytes()) {
            return None;
        }
        // What others have enqueued is committed now.
        // SAFETY: see above.
        unsafe {
            as_next_statement(|| {
                let namespace = Namespace::read(namespace.id).filter(Namespace::is_open)?;
                Some(self.places(&namespace, namespace.rooms()))
            })
        }
    }

    /// The room that there will be when the caller has ended what it ends.
    fn places(&self, namespace: &Namespace, mut of_templates: BTreeMap<i64, i64>) -> Room {
        for template in self.ending {
            of_templates.entry(*template).and_modify(|room| *room += 1);
        }
        let in_all = namespace.room().map(|room| room + self.ending.len() as i64);
        Room { in_all: in_all.map_or(usize::MAX, |room| usize::try_from(room).unwrap_or_default()), of_templates }
    }
}

/// How many steps may go.
pub struct Room {
    pub in_all: usize,
    pub of_templates: BTreeMap<i64, i64>,
}

/// Whether a step is of one of these templates.
unsafe fn any_of(step_ids: &[i64], templates: &BTreeMap<i64, i64>) -> bool {
    if templates.is_empty() {
        return false;
    }
    let ids: BTreeSet<i64> = step_ids.iter().map(|step_id| task_of(*step_id)).collect();
    // SAFETY: in a statement; the column is a bigint.
    unsafe {
        let mut tasks = Reader::open(c"tasks", tasks::KEY, [c"template_id"]);
        let mut template = |task_id| tasks.find(task_id).and_then(|[template]| value::<i64>(template));
        let any = ids.into_iter().filter_map(&mut template).any(|template| templates.contains_key(&template));
        tasks.close();
        any
    }
}

/// See `_enqueue`. How many more are `in_flight` is for the caller to write.
///
/// # Safety
/// In a statement; `at` is a timestamptz.
pub unsafe fn enqueue(
    namespace_id: i64,
    namespace: &str,
    step_ids: impl Iterator<Item = i64>,
    at: Datum,
    in_flight: &mut InFlight,
) -> i32 {
    // SAFETY: see above; columns and arguments are of these types.
    unsafe {
        let mut time = [0; pg_sys::MAXDATELEN as usize + 1];
        pg_sys::JsonEncodeDateTime(time.as_mut_ptr(), at, pg_sys::TIMESTAMPTZOID, null());
        let messages = step_messages(step_ids, CStr::from_ptr(time.as_ptr()).to_bytes());
        if messages.is_empty() {
            return 0;
        }
        let contents = messages.iter().map(|message| Some(message.content)).collect();
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
        messages.iter().for_each(|message| in_flight.add(namespace_id, message.template_id, 1));
        wake::_wake_namespace(namespace_id);
        messages.len() as i32
    }
}
