//! The messages of steps that are ready, read from the rows that they are put together from: key by key, without a plan
//! to begin, and what many of them share only once.

use std::collections::{HashMap, HashSet};

use pgrx::fcinfo::pg_getarg;
use pgrx::pg_sys::{Datum, FunctionCallInfo};
use pgrx::prelude::*;
use pgrx::{AnyElement, Array, Uuid};

use super::steps::{self, Attempt};
use super::table::read::{Key, Reader};
use super::tasks;
use super::values::{array, value};
use crate::error::{Error, raise};
use crate::guc;
use crate::workflow::jsonb::Failure;
use crate::workflow::message::step::{Parent, Step, step_message};
use crate::workflow::step_id::{step_of, task_of};

/// The messages of ready steps, as enqueueing puts them together. `enqueued_at` is what they say.
#[pg_extern(
    stable,
    sql = "create function tasker._step_messages(step_ids bigint[], enqueued_at text) returns jsonb[] stable strict language c as 'MODULE_PATHNAME', '@FUNCTION_NAME@';"
)]
fn _step_messages(fcinfo: FunctionCallInfo) -> Option<AnyElement> {
    // SAFETY: the function is declared with these types.
    unsafe {
        let (step_ids, enqueued_at): (Array<i64>, &[u8]) = (pg_getarg(fcinfo, 0)?, pg_getarg(fcinfo, 1)?);
        let messages = step_messages(step_ids.iter().flatten(), enqueued_at);
        let messages = array(messages.into_iter().map(|message| message.content).collect(), pg_sys::JSONBOID);
        AnyElement::from_polymorphic_datum(messages?, false, pg_sys::JSONBARRAYOID)
    }
}

/// The message of a ready step, and what enqueueing needs to know beside it.
pub struct StepMessage {
    pub attempt: Attempt,
    /// The step's state until then.
    pub state: Datum,
    pub template_id: i64,
    /// Seconds that the attempt has.
    pub timeout: f64,
    /// A jsonb.
    pub content: Datum,
}

/// The messages of ready steps of one namespace, in the order given. Steps that are not to be tried any more (their task has
/// stopped) are left out, and so is a step that comes again.
///
/// # Safety
/// In a statement.
pub unsafe fn step_messages(step_ids: impl Iterator<Item = i64>, enqueued_at: &[u8]) -> Vec<StepMessage> {
    // SAFETY: see above.
    unsafe {
        let mut source = Source::open();
        let mut seen = HashSet::new();
        let mut messages = Vec::new();
        for step_id in step_ids.filter(|step_id| seen.insert(*step_id)) {
            check_for_interrupts!();
            messages.extend(source.message(step_id, enqueued_at));
        }
        source.close();
        messages
    }
}

/// The tables that messages are read from.
struct Source {
    steps: Reader<5>,
    tasks: Reader<8>,
    nodes: Reader<9>,
    /// The last task, which the next step may be of, too.
    task: Option<(i64, Task)>,
    known_nodes: HashMap<i64, Node>,
}

struct Task {
    goes_on: bool,
    template_id: i64,
    priority: i16,
    correlation_id: uuid::Uuid,
    context: Vec<u8>,
    initiator: Option<Vec<u8>>,
    tags: Vec<Option<Vec<u8>>>,
}

/// A step of a template.
struct Node {
    timeout: Option<i32>,
    name: Vec<u8>,
    kind: Vec<u8>,
    handler: Vec<u8>,
    namespace: Vec<u8>,
    task_name: Vec<u8>,
    task_version: Vec<u8>,
    /// Their places in the template, and their names.
    parents: Vec<(i32, Vec<u8>)>,
}

impl Source {
    unsafe fn open() -> Source {
        // SAFETY: in a statement, and closed before it ends.
        unsafe {
            Source {
                steps: Reader::open(
                    c"steps",
                    steps::KEY,
                    [c"template_step_id", c"attempts", c"max_attempts", c"state", c"results"],
                ),
                tasks: Reader::open(
                    c"tasks",
                    tasks::KEY,
                    [
                        c"state",
                        c"stopping",
                        c"template_id",
                        c"priority",
                        c"correlation_id",
                        c"context",
                        c"initiator",
                        c"tags",
                    ],
                ),
                nodes: Reader::open(
                    c"template_steps",
                    Key { index: c"template_steps_pkey", column: c"template_step_id" },
                    [
                        c"timeout_seconds",
                        c"name",
                        c"type",
                        c"handler",
                        c"namespace",
                        c"task_name",
                        c"task_version",
                        c"parent_indexes",
                        c"parent_names",
                    ],
                ),
                task: None,
                known_nodes: HashMap::new(),
            }
        }
    }

    unsafe fn message(&mut self, step_id: i64, enqueued_at: &[u8]) -> Option<StepMessage> {
        // SAFETY: the columns are of these types.
        unsafe {
            let [node_id, attempts, max_attempts, state, _] = self.steps.find(step_id)?;
            let (node_id, attempts): (i64, i32) = (value(node_id)?, value(attempts)?);
            let (max_attempts, state): (i32, String) = (value(max_attempts)?, value(state)?);
            if !matches!(state.as_str(), "pending" | "waiting_for_retry") {
                return None;
            }
            let task_id = task_of(step_id);
            self.look_at_task(task_id)?;
            self.look_at_node(node_id)?;
            let (_, task) = self.task.as_ref().filter(|(_, task)| task.goes_on)?;
            let node = self.known_nodes.get(&node_id)?;
            let attempt = attempts.checked_add(1).unwrap_or_else(|| raise(Error::NoAttemptLeft(step_id)));
            let results = results_of_parents(&mut self.steps, task_id, node);
            let timeout = node.timeout.unwrap_or_else(guc::step_timeout);
            let message = message(step_id, attempt, max_attempts, timeout, enqueued_at, task, node, results.as_deref());
            Some(StepMessage {
                attempt: Attempt { step_id, number: attempt },
                state: state.into_datum()?,
                template_id: task.template_id,
                timeout: f64::from(timeout),
                content: message.into_datum()?,
            })
        }
    }

    unsafe fn look_at_task(&mut self, task_id: i64) -> Option<()> {
        if self.task.as_ref().is_some_and(|(known, _)| *known == task_id) {
            return Some(());
        }
        // SAFETY: the columns are of these types.
        unsafe {
            let [state, stopping, template_id, priority, correlation_id, context, initiator, tags] =
                self.tasks.find(task_id)?;
            let tags: Array<&[u8]> = value(tags)?;
            let task = Task {
                goes_on: value::<&str>(state)? == "in_progress" && stopping.is_none(),
                template_id: value(template_id)?,
                priority: value(priority)?,
                correlation_id: uuid::Uuid::from_bytes(*value::<Uuid>(correlation_id)?.as_bytes()),
                context: value(context)?,
                initiator: value(initiator),
                tags: tags.iter().map(|tag| tag.map(<[u8]>::to_vec)).collect(),
            };
            self.task = Some((task_id, task));
        }
        Some(())
    }

    unsafe fn look_at_node(&mut self, node_id: i64) -> Option<()> {
        if self.known_nodes.contains_key(&node_id) {
            return Some(());
        }
        // SAFETY: the columns are of these types.
        unsafe {
            let [timeout, name, kind, handler, namespace, task_name, task_version, indexes, names] =
                self.nodes.find(node_id)?;
            let indexes: Array<i32> = value(indexes)?;
            let names: Array<&[u8]> = value(names)?;
            let parents = indexes.iter().flatten().zip(names.iter().flatten());
            let node = Node {
                timeout: value(timeout),
                name: value(name)?,
                kind: value(kind)?,
                handler: value(handler)?,
                namespace: value(namespace)?,
                task_name: value(task_name)?,
                task_version: value(task_version)?,
                parents: parents.map(|(index, name)| (index, name.to_vec())).collect(),
            };
            self.known_nodes.insert(node_id, node);
        }
        Some(())
    }

    fn close(self) {
        self.steps.close();
        self.tasks.close();
        self.nodes.close();
    }
}

/// What the parents' results hold, a place for each; `None` when they are too large together to be in a message. Then they
/// are not read either.
unsafe fn results_of_parents(steps: &mut Reader<5>, task_id: i64, node: &Node) -> Option<Vec<Option<Vec<u8>>>> {
    let mut left = guc::max_message_bytes();
    let mut results = Vec::with_capacity(node.parents.len());
    for (index, _) in &node.parents {
        check_for_interrupts!();
        let found = steps.find(step_of(task_id, *index)).and_then(|[.., results]| results);
        if let Some(datum) = found {
            // SAFETY: the column is a jsonb. Its size is told from its head, wherever it is stored.
            let size = unsafe { pg_sys::toast_raw_datum_size(datum) }.saturating_sub(size_of::<u32>());
            left = left.checked_sub(size)?;
        }
        // SAFETY: the column is a jsonb.
        results.push(unsafe { value::<Vec<u8>>(found) });
    }
    Some(results)
}

#[allow(clippy::too_many_arguments)] // what a message says
fn message(
    step_id: i64,
    attempt: i32,
    max_attempts: i32,
    timeout: i32,
    enqueued_at: &[u8],
    task: &Task,
    node: &Node,
    results: Option<&[Option<Vec<u8>>]>,
) -> Vec<u8> {
    let mut hyphenated = uuid::Uuid::encode_buffer();
    let task_id = task_of(step_id);
    let tags: Vec<_> = task.tags.iter().map(Option::as_deref).collect();
    let step = Step {
        step_id,
        task_id,
        attempt: attempt.into(),
        max_attempts: max_attempts.into(),
        timeout_seconds: timeout.into(),
        priority: task.priority.into(),
        correlation_id: task.correlation_id.hyphenated().encode_lower(&mut hyphenated),
        enqueued_at,
        namespace: &node.namespace,
        task_name: &node.task_name,
        task_version: &node.task_version,
        step_name: &node.name,
        step_type: &node.kind,
        handler: &node.handler,
        context: &task.context,
        initiator: task.initiator.as_deref(),
        tags: &tags,
    };
    let parents: Vec<_> = (0..)
        .zip(&node.parents)
        .map(|(place, (index, name))| Parent {
            step_id: step_of(task_id, *index),
            name,
            results: results.and_then(|results| results.get::<usize>(place)?.as_deref()),
        })
        .collect();
    step_message(&step, &parents, results.is_none()).unwrap_or_else(|failure| match failure {
        Failure::Size => raise(Error::MessageSize(step_id)),
        Failure::Memory => raise(Error::MessageMemory(step_id)),
    })
}
