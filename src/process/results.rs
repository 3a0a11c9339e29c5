//! Step results: what they say, and which attempts they end.

use std::collections::BTreeSet;
use std::ffi::CString;

use pgrx::fcinfo::pg_getarg;
use pgrx::pg_sys::{Datum, FunctionCallInfo};
use pgrx::prelude::*;
use pgrx::{AnyElement, Array, JsonB, PgMemoryContexts, direct_function_call};
use serde_json::json;

use super::encoding::{Text, utf8};
use super::outcome::Outcome;
use super::steps;
use super::table::read::{Reader, Values};
use super::tasks::KEY as TASKS;
use super::values::{Composite, array, bigints, copy, row, value};
use crate::guc;
use crate::workflow::jsonb;
use crate::workflow::jsonb::read::{Value, fields};
use crate::workflow::message::result::{StepResult, step_result};
use crate::workflow::message::result_fault;
use crate::workflow::step_id::task_of;

/// A message of the results queue.
struct Report<'a> {
    /// Its place, from 1.
    n: i64,
    /// Why it cannot be used.
    fault: Option<String>,
    says: StepResult<'a>,
    /// Its own size.
    bytes: i32,
}

fn reports<'a>(messages: impl Iterator<Item = Option<&'a [u8]>>) -> impl Iterator<Item = Report<'a>> {
    (1..).zip(messages).map(|(n, message)| {
        let content = message.unwrap_or_default();
        let says = step_result(content);
        let bytes = i32::try_from(content.len() + size_of::<u32>()).unwrap_or(i32::MAX);
        Report { n, fault: fault(&says, message), says, bytes }
    })
}

/// Of plain results it is clear that they can be used; of others their text tells.
fn fault(says: &StepResult, message: Option<&[u8]>) -> Option<String> {
    // A batch of large ones would fill the memory with its texts.
    // SAFETY: nothing of it is used beyond.
    let told = (!says.plain)
        .then(|| unsafe { PgMemoryContexts::new("a result's text").switch_to(|_| fault_of_text(message)) });
    told.flatten().or_else(|| {
        let (step_id, task_id) = (says.step_id?, says.other_task?);
        Some(format!("step {step_id} is not of task {task_id}"))
    })
}

fn fault_of_text(message: Option<&[u8]>) -> Option<String> {
    match message.and_then(IntoDatum::into_datum) {
        // SAFETY: a jsonb, in memory of its own.
        Some(message) => unsafe { direct_function_call::<CString>(pg_sys::jsonb_out, &[Some(message)]) }
            .and_then(|text| result_fault(&utf8(text.to_bytes()))),
        None => result_fault("null"),
    }
}

impl Report<'_> {
    /// The error that a worker reports, as it is kept: an object as it is, a text as its message, nothing else.
    fn error(&self) -> Option<Vec<u8>> {
        match self.says.error? {
            Value::Container(content) => jsonb::is_object(content).then(|| content.to_vec()),
            Value::String(text) => jsonb::object(text.len() + 64, &["message"], |children| children.string(text)).ok(),
            _ => None,
        }
    }

    /// In place of what is too large to be kept.
    fn too_large(&self, max_bytes: i32) -> Option<Datum> {
        let (success, bytes) = (self.says.success, self.bytes);
        let mut is_final = success;
        if let Some(Value::Container(error)) = self.says.error {
            fields(error, |name, value| {
                is_final |= name == b"retryable" && matches!(value, Value::Boolean(false) | Value::String(b"false"));
            });
        }
        let outcome = if success { "success" } else { "failure" };
        JsonB(json!({
            "error_type": "report_too_large",
            "retryable": !is_final,
            "message": format!(
                "the report ({outcome}) has {bytes} bytes, more than tasker.max_payload_bytes ({max_bytes})"
            ),
        }))
        .into_datum()
    }
}

/// Step results in the order given: the attempt that each names and how it says that it ended, or why it cannot be used.
#[pg_extern(
    stable,
    parallel_safe,
    sql = "create function tasker._read_results(messages jsonb[])
returns table (n bigint, fault text, step_id bigint, attempt integer, reported boolean, success boolean, results jsonb, error jsonb,
  metadata jsonb, took_ms integer, bytes integer)
stable strict parallel safe rows 1 language c as 'MODULE_PATHNAME', '@FUNCTION_NAME@';"
)]
#[allow(clippy::type_complexity)] // the columns
fn _read_results(
    messages: Array<&[u8]>,
) -> TableIterator<
    'static,
    (
        name!(n, i64),
        name!(fault, Option<Text>),
        name!(step_id, Option<i64>),
        name!(attempt, Option<i32>),
        name!(reported, bool),
        name!(success, bool),
        name!(results, Option<Vec<u8>>),
        name!(error, Option<Vec<u8>>),
        name!(metadata, Option<Vec<u8>>),
        name!(took_ms, Option<i32>),
        name!(bytes, i32),
    ),
> {
    let rows: Vec<_> = reports(messages.iter())
        .map(|report| {
            let (error, says) = (report.error(), report.says);
            let step_id = says.step_id.filter(|_| report.fault.is_none());
            let (results, metadata) = (says.results.map(jsonb::alone), says.metadata.map(jsonb::alone));
            (
                report.n,
                report.fault.map(Text),
                step_id,
                says.attempt,
                says.reported,
                says.success,
                results,
                error,
                metadata,
                says.took_ms,
                report.bytes,
            )
        })
        .collect();
    TableIterator::new(rows)
}

/// The tasks that results are about, where somebody has one of them locked; NULL where nobody has. The results may be of any
/// form.
#[pg_extern(
    volatile,
    sql = "create function tasker._tasks_if_held(results jsonb[]) returns bigint[] volatile strict language c as 'MODULE_PATHNAME', '@FUNCTION_NAME@';"
)]
fn _tasks_if_held(results: Array<&[u8]>) -> Option<Vec<i64>> {
    tasks_if_held(results.iter())
}

/// See there.
pub fn tasks_if_held<'a>(results: impl Iterator<Item = Option<&'a [u8]>>) -> Option<Vec<i64>> {
    let tasks: BTreeSet<i64> =
        results.flatten().filter_map(|content| step_result(content).step_id).map(task_of).collect();
    // SAFETY: in a statement, and closed before it ends.
    let held = unsafe {
        let mut table = Reader::open(c"tasks", TASKS, []);
        let held = tasks.iter().any(|task_id| table.is_held(*task_id));
        table.close();
        held
    };
    held.then(|| tasks.into_iter().collect())
}

/// Locks the tasks and steps that results are about, in the order of their ids, and says which attempts they end.
/// Where all are of one namespace, that is the `only_namespace`.
///
/// Results are named by their place in `messages`, from 1: `settled` in the order of the outcomes, and all that are `held`.
/// Not held are those that cannot be used, that name no step, or whose task or step somebody has locked; without `queued`
/// also those that a queue takes and a call does not (without an attempt, or too large), and all behind the first task that
/// is locked.
///
/// A result counts when it is of the attempt that is in flight; where that has been reported in its row, only the message
/// that says so does (`queued`). The first of several counts, the others are late. One from a queue that is too large counts
/// as a failure without what it carries; a success that is will be no smaller next time, so it is not tried again.
#[pg_extern(
    volatile,
    sql = "create function tasker._hold_attempts(messages jsonb[], queued boolean, out outcomes tasker._outcome[], out settled bigint[], out held bigint[], out only_namespace bigint) volatile language c as 'MODULE_PATHNAME', '@FUNCTION_NAME@';"
)]
fn _hold_attempts(fcinfo: FunctionCallInfo) -> Option<AnyElement> {
    // SAFETY: the function is declared with these types.
    unsafe {
        let messages = pg_getarg::<Array<&[u8]>>(fcinfo, 0);
        let attempts = hold(messages.iter().flat_map(Array::iter), pg_getarg(fcinfo, 1).unwrap_or_default());
        let outcome = Composite::element_of(fcinfo, 1);
        let outcomes = attempts.outcomes.iter().map(|one| outcome.value(one.columns())).collect();
        let only_namespace = attempts.only_namespace.into_datum();
        let columns =
            [array(outcomes, outcome.oid()), bigints(attempts.settled), bigints(attempts.held), only_namespace];
        row(fcinfo, columns)
    }
}

/// What `_hold_attempts` has found.
pub struct Attempts {
    pub outcomes: Vec<Outcome>,
    pub settled: Vec<i64>,
    pub held: Vec<i64>,
    pub only_namespace: Option<i64>,
}

/// See `_hold_attempts`.
///
/// # Safety
/// In a statement.
pub unsafe fn hold<'a>(messages: impl Iterator<Item = Option<&'a [u8]>>, queued: bool) -> Attempts {
    // SAFETY: closed below.
    let mut held = unsafe { Held::open(queued) };
    let mut reports: Vec<(i64, Report)> = reports(messages)
        .filter(|report| report.fault.is_none())
        .filter(|report| queued || report.says.attempt.is_some() && report.bytes <= held.max_bytes)
        .filter_map(|report| Some((report.says.step_id?, report)))
        .collect();
    reports.sort_by_key(|(step_id, report)| (*step_id, report.n));
    for of_step in reports.chunk_by(|(step_id, _), (next, _)| step_id == next) {
        check_for_interrupts!();
        // SAFETY: see above.
        if !unsafe { held.take(of_step) } {
            break;
        }
    }
    held.close()
}

/// Tasks and steps that are being locked, and what has been found.
struct Held {
    tasks: Reader<2>,
    steps: Reader<6>,
    /// The last task, which the next step may be of, too.
    task: Option<(i64, Task)>,
    queued: bool,
    max_bytes: i32,

    outcomes: Vec<Outcome>,
    settled: Vec<i64>,
    held: Vec<i64>,
    /// The least and the greatest.
    namespaces: Option<(i64, i64)>,
}

#[derive(Clone, Copy)]
enum Task {
    Held {
        namespace: i64,
        template: i64,
    },
    /// Somebody else has it locked.
    Busy,
    Unknown,
}

impl Held {
    unsafe fn open(queued: bool) -> Held {
        let columns = [c"attempts", c"state", c"reported_at", c"reported_status", c"results", c"last_error"];
        // SAFETY: in a statement, and closed before it ends.
        unsafe {
            Held {
                tasks: Reader::open_to_lock(c"tasks", TASKS, [c"namespace_id", c"template_id"]),
                steps: Reader::open_to_lock(c"steps", steps::KEY, columns),
                task: None,
                queued,
                max_bytes: guc::max_payload_bytes(),
                outcomes: Vec::new(),
                settled: Vec::new(),
                held: Vec::new(),
                namespaces: None,
            }
        }
    }

    /// Takes the reports of one step. False: none of what follows may be taken. A call that holds tasks beyond one that another
    /// holds, and waits later, could wait for a call that waits for it; a pass never waits.
    unsafe fn take(&mut self, reports: &[(i64, Report)]) -> bool {
        let Some((step_id, _)) = reports.first() else { return true };
        // SAFETY: the columns are of these types; what they point to is there until the next row is looked for.
        unsafe {
            let (namespace, template) = match self.lock_task(task_of(*step_id)) {
                Task::Held { namespace, template } => (namespace, template),
                Task::Busy => return self.queued,
                Task::Unknown => return true,
            };
            let Some(step) = self.steps.lock(*step_id) else { return true };
            self.held.extend(reports.iter().map(|(_, report)| report.n));
            let (first, last) = self.namespaces.unwrap_or((namespace, namespace));
            self.namespaces = Some((first.min(namespace), last.max(namespace)));

            let [attempts, state, reported_at, ..] = step;
            let in_flight = matches!(value(state), Some("enqueued" | "in_progress"));
            let matches = |report: &Report| {
                in_flight
                    && (report.says.attempt.is_none() || report.says.attempt == value(attempts))
                    && (self.queued && report.says.reported) == reported_at.is_some()
            };
            if let Some((_, report)) = reports.iter().find(|(_, report)| matches(report)) {
                self.settle(*step_id, report, step, namespace, template);
            }
        }
        true
    }

    unsafe fn lock_task(&mut self, task_id: i64) -> Task {
        if let Some((_, task)) = self.task.filter(|(known, _)| *known == task_id) {
            return task;
        }
        // SAFETY: the columns are of these types.
        let ids =
            unsafe { self.tasks.lock(task_id).and_then(|[namespace, template]| value(namespace).zip(value(template))) };
        let task = match ids {
            Some((namespace, template)) => Task::Held { namespace, template },
            None if self.tasks.find(task_id).is_some() => Task::Busy,
            None => Task::Unknown,
        };
        self.task = Some((task_id, task));
        task
    }

    /// The report ends the attempt that is in flight.
    unsafe fn settle(&mut self, step_id: i64, report: &Report, step: Values<6>, namespace: i64, template: i64) {
        let [attempts, state, reported_at, reported_status, results, last_error] = step;
        // SAFETY: the columns are of these types, and what they point to is copied at once.
        unsafe {
            let (success, results, error, metadata) = if reported_at.is_some() {
                (value(reported_status) == Some("success"), copy(results), copy(last_error), true)
            } else if report.bytes > self.max_bytes {
                (false, None, report.too_large(self.max_bytes), false)
            } else {
                let results = report.says.results.map(jsonb::alone);
                (report.says.success, results.into_datum(), report.error().into_datum(), true)
            };
            let metadata = report.says.metadata.filter(|_| metadata).map(jsonb::alone);
            self.settled.push(report.n);
            self.outcomes.push(Outcome {
                step_id,
                template_id: template,
                namespace_id: namespace,
                success,
                attempt: attempts,
                from_state: copy(state),
                results,
                error,
                metadata: metadata.into_datum(),
                took_ms: report.says.took_ms.into_datum(),
            });
        }
    }

    fn close(self) -> Attempts {
        self.tasks.close();
        self.steps.close();
        let only_namespace = self.namespaces.filter(|(first, last)| first == last).map(|(first, _)| first);
        Attempts { outcomes: self.outcomes, settled: self.settled, held: self.held, only_namespace }
    }
}
