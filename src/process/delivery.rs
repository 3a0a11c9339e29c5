//! Step messages on their way to a worker.

use std::collections::HashMap;

use pgrx::pg_sys::Datum;
use pgrx::prelude::*;

use super::look::{Begin, Found, Names, look};
use super::queue::{self, Message};
use super::spi::{as_next_statement, run};
use super::steps::{self, Attempt, Transitions, write_started, write_timers, write_transitions};
use super::table::Column;
use super::table::read::{Key, Reader};
use super::values::{Elements, value};
use crate::guc;
use crate::workflow::jsonb;
use crate::workflow::message::result::step_result;
use crate::workflow::step_id::task_of;

/// One look of poll_steps: takes up to `qty` steps off a namespace's queue, marks them in progress for a worker and starts their
/// leases (seconds; none is each step's own time).
///
/// A message leaves the queue when its step is marked; one whose attempt is over, or reported by a worker who left it there, is
/// dropped; one whose step somebody has locked stays. Steps are locked in the order of their ids and no task is. None only when
/// there is nothing: a look that met only messages of no use is followed by one behind them.
///
/// # Safety
/// In a statement; the worker is a text, `at` is a timestamptz.
pub unsafe fn take(
    queue_name: &str,
    qty: i32,
    lease: Option<f64>,
    worker_id: Option<Datum>,
    at: Datum,
    names: &Names,
) -> Option<Vec<Taken>> {
    let mut from = Begin::Mark;
    loop {
        // SAFETY: see above.
        unsafe {
            let found = look(queue_name, qty, from, names);
            from = Begin::After(found.messages.last()?.msg_id);
            let held = as_next_statement(|| Held::of(&found.messages, lease));
            if held.msg_ids.len() != found.messages.len() {
                reject_useless(queue_name, &found, at);
            }
            queue::remove(queue_name, held.msg_ids.into_iter());
            if !held.taken.is_empty() {
                as_next_statement(|| write(&held.taken, worker_id, at));
                return Some(in_order(held.taken));
            }
        }
    }
}

/// In the order of the queue.
fn in_order(mut taken: Vec<Taken>) -> Vec<Taken> {
    taken.sort_by_key(|one| one.msg_id);
    taken
}

/// Writes that a worker has taken them.
unsafe fn write(taken: &[Taken], worker_id: Option<Datum>, at: Datum) {
    let (enqueued, step_ids): (Option<Datum>, Elements) =
        ("enqueued".into_datum(), taken.iter().map(|one| one.attempt.step_id.into_datum()).collect());
    // SAFETY: the columns are of these types.
    unsafe {
        // In the encoding of the database, as everything that is a text there.
        let worker = value::<&[u8]>(worker_id)
            .and_then(|id| jsonb::object(id.len() + 64, &["worker_id"], |children| children.string(id)).ok());
        write_started(&step_ids, at, worker_id);
        let transitions = Transitions {
            step_ids,
            attempts: taken.iter().map(|one| one.attempt.number.into_datum()).collect(),
            from_states: vec![enqueued; taken.len()],
            to_state: "in_progress",
            metadata: Column::one(worker.into_datum()),
            took_ms: Column::Null,
        };
        write_transitions(transitions, at);
        write_timers("lease", taken.iter().map(|one| (one.attempt, one.lease)), at);
    }
}

/// Some messages are of no use: sets these apart.
unsafe fn reject_useless(queue_name: &str, found: &Found, at: Datum) {
    let types = [pg_sys::TEXTOID, pg_sys::INT8ARRAYOID, pg_sys::JSONBARRAYOID, pg_sys::TIMESTAMPTZOID];
    let arguments = [queue_name.into_datum(), found.msg_ids(), found.contents(), Some(at)];
    // SAFETY: the arguments are of these types.
    unsafe { run::<0, 4>(c"select from tasker._reject_useless($1, $2, $3, $4)", types, arguments) };
}

/// A message, and the attempt that it names.
struct Delivery {
    msg_id: i64,
    attempt: Attempt,
    message: Datum,
}

/// A step that a worker gets.
pub struct Taken {
    msg_id: i64,
    attempt: Attempt,
    /// Seconds.
    lease: f64,
    message: Datum,
}

impl Taken {
    /// As poll_steps returns it.
    pub fn columns(&self) -> [Option<Datum>; 5] {
        let Attempt { step_id, number } = self.attempt;
        let task_id = task_of(step_id).into_datum();
        [self.msg_id.into_datum(), step_id.into_datum(), task_id, number.into_datum(), Some(self.message)]
    }
}

/// Messages whose steps are locked.
struct Held {
    msg_ids: Vec<i64>,
    /// Those that are of the attempt that waits for a worker.
    taken: Vec<Taken>,
}

impl Held {
    /// Locks the steps that messages are of, in the order of their ids. Not held are messages that are of no step, and those
    /// whose step somebody has locked.
    unsafe fn of(messages: &[Message], lease: Option<f64>) -> Held {
        // SAFETY: in a statement.
        unsafe {
            let mut steps = Steps::open(lease);
            let mut held = Held { msg_ids: Vec::new(), taken: Vec::new() };
            for of_step in deliveries(messages).chunk_by(|one, next| one.attempt.step_id == next.attempt.step_id) {
                check_for_interrupts!();
                let step_id = of_step[0].attempt.step_id;
                let Some(step) = steps.lock(step_id) else { continue };
                held.msg_ids.extend(of_step.iter().map(|delivery| delivery.msg_id));
                // Of several messages of one attempt, one.
                let of_attempt = of_step.iter().find(|delivery| step.waiting == Some(delivery.attempt.number));
                held.taken.extend(of_attempt.map(|delivery| Taken {
                    msg_id: delivery.msg_id,
                    attempt: delivery.attempt,
                    lease: steps.lease(step.node),
                    message: delivery.message,
                }));
            }
            steps.close();
            held
        }
    }
}

/// In the order of the steps.
fn deliveries(messages: &[Message]) -> Vec<Delivery> {
    let mut deliveries: Vec<Delivery> = messages
        .iter()
        .filter_map(|message| {
            // SAFETY: it is a jsonb.
            let names = step_result(unsafe { value(message.content) }?);
            let attempt = Attempt { step_id: names.step_id?, number: names.attempt? };
            Some(Delivery { msg_id: message.msg_id, attempt, message: message.content? })
        })
        .collect();
    deliveries.sort_by_key(|delivery| (delivery.attempt.step_id, delivery.msg_id));
    deliveries
}

/// A step that is locked.
struct Step {
    /// The attempt that waits for a worker.
    waiting: Option<i32>,
    /// The step of the template.
    node: i64,
}

struct Steps {
    steps: Reader<4>,
    nodes: Reader<1>,
    lease: Option<f64>,
    /// The times of steps of templates, in seconds.
    timeouts: HashMap<i64, f64>,
}

impl Steps {
    unsafe fn open(lease: Option<f64>) -> Steps {
        let columns = [c"attempts", c"state", c"reported_at", c"template_step_id"];
        let by_node = Key { index: c"template_steps_pkey", column: c"template_step_id" };
        // SAFETY: in a statement, and closed before it ends.
        unsafe {
            Steps {
                steps: Reader::open_to_lock(c"steps", steps::KEY, columns),
                nodes: Reader::open(c"template_steps", by_node, [c"timeout_seconds"]),
                lease,
                timeouts: HashMap::new(),
            }
        }
    }

    unsafe fn lock(&mut self, step_id: i64) -> Option<Step> {
        // SAFETY: the columns are of these types.
        unsafe {
            let [attempts, state, reported_at, node] = self.steps.lock(step_id)?;
            let is_waiting = value(state) == Some("enqueued") && reported_at.is_none();
            Some(Step { waiting: value(attempts).filter(|_| is_waiting), node: value(node)? })
        }
    }

    fn lease(&mut self, node: i64) -> f64 {
        let own = || {
            // SAFETY: the column is an integer.
            let own = self.nodes.find(node).and_then(|[timeout]| unsafe { value::<i32>(timeout) });
            f64::from(own.unwrap_or_else(guc::step_timeout))
        };
        self.lease.unwrap_or_else(|| *self.timeouts.entry(node).or_insert_with(own))
    }

    fn close(self) {
        self.steps.close();
        self.nodes.close();
    }
}
