//! The tables of queues: messages are found and locked, removed, and sent.

mod past;
mod statement;

use std::ffi::CString;

use pgrx::fcinfo::{pg_getarg, pg_getarg_datum};
use pgrx::pg_sys::{Datum, FunctionCallInfo, Oid};
use pgrx::prelude::*;
use pgrx::{AnyElement, Array};

use self::past::Queue;
use self::statement::{Statement, run};
use super::look::{note_removed, note_sent};
use super::table::{Column, Writer};
use super::values::{self, Elements, elements, value};

/// The queues of the engine.
pub const REQUESTS: &str = "orchestration_task_requests";
pub const RESULTS: &str = "orchestration_step_results";

/// A message of a queue.
pub struct Message {
    pub msg_id: i64,
    /// A jsonb; none where somebody has sent NULL.
    pub content: Option<Datum>,
}

/// Locks the first messages that are due and that nobody has locked, in the order of their ids: how many at most, above which
/// id and up to which; of these tasks and these steps, where they are given.
///
/// # Safety
/// In a statement; the names are arrays of text.
pub unsafe fn find(queue_name: &str, qty: i32, (after, upto): (i64, i64), names: [Option<Datum>; 2]) -> Vec<Message> {
    let [of_tasks, of_steps] = names;
    // SAFETY: see above; the arguments are of the statement's types.
    unsafe {
        if names == [None, None]
            && let Some(queue) = Queue::open(queue_name, pg_sys::RowShareLock)
        {
            return queue.find(qty, after, upto);
        }
        let statement = Statement::Find { of_tasks: of_tasks.is_some(), of_steps: of_steps.is_some() };
        let arguments = [i64::from(qty).into_datum(), after.into_datum(), upto.into_datum(), of_tasks, of_steps];
        // What a message says is read from where it is stored while it is there, and once.
        let message = |[msg_id, content]: [Option<Datum>; 2]| {
            let content = content.map(|content| pg_sys::pg_detoast_datum_packed(content.cast_mut_ptr()).into());
            Some(Message { msg_id: value(msg_id)?, content })
        };
        run(queue_name, statement, &arguments).into_iter().filter_map(message).collect()
    }
}

/// The argument as plans take it: what plpgsql may change in place is read-only there.
///
/// # Safety
/// The argument is an array.
pub unsafe fn array(fcinfo: FunctionCallInfo, number: usize) -> Option<Datum> {
    // SAFETY: see above.
    unsafe { pg_getarg_datum(fcinfo, number).map(|datum| pg_sys::MakeExpandedObjectReadOnlyInternal(datum)) }
}

/// Puts messages into a queue, in the order given, and returns their ids: what `pgmq.send_batch` does, without its three
/// layers of functions that hand on every row.
#[pg_extern(
    volatile,
    strict,
    sql = "create function tasker._send(queue_name text, messages jsonb[]) returns bigint[] volatile strict language c as 'MODULE_PATHNAME', '@FUNCTION_NAME@';"
)]
fn _send(fcinfo: FunctionCallInfo) -> Option<AnyElement> {
    // SAFETY: the function is declared with these types.
    unsafe {
        let queue_name: &str = pg_getarg(fcinfo, 0)?;
        let msg_ids = send(queue_name, elements(fcinfo, 1, pg_sys::JSONBOID)?);
        AnyElement::from_polymorphic_datum(
            values::nullable_array(&msg_ids, pg_sys::INT8OID)?,
            false,
            pg_sys::INT8ARRAYOID,
        )
    }
}

/// Returns the ids of the messages.
///
/// # Safety
/// In a statement; the messages are jsonb.
pub unsafe fn send(queue_name: &str, messages: Elements) -> Elements {
    let name = |name: String| CString::new(name).unwrap_or_else(|_| error!("a queue's name holds a zero byte"));
    let (table, sequence) = (name(format!("q_{queue_name}")), name(format!("q_{queue_name}_msg_id_seq")));
    // SAFETY: the columns are of these types; pgmq made them.
    unsafe {
        let table = Writer::open_in(c"pgmq", &table);
        let msg_ids = table.numbers(c"msg_id", &sequence, messages.len());
        table
            .set(c"msg_id", Column::Each(msg_ids.clone()))
            .set(c"read_ct", Column::one(0_i32.into_datum()))
            .set(c"enqueued_at", Column::One(pg_sys::GetCurrentTransactionStartTimestamp().into()))
            .set(c"vt", Column::One(pg_sys::GetCurrentTimestamp().into()))
            .set(c"message", Column::Each(messages))
            .append(None);
        let id = |msg_id: Option<&Option<Datum>>| value(msg_id.copied().flatten());
        if let Some(ends) = id(msg_ids.first()).zip(id(msg_ids.last())) {
            note_sent(queue_name, ends);
        }
        msg_ids
    }
}

/// Removes from a queue those of a list of messages that stand at some places of the list, from 1. Returns how many these are.
#[pg_extern(
    volatile,
    strict,
    sql = "create function tasker._remove_messages(queue_name text, msg_ids bigint[], places bigint[]) returns integer volatile strict language c as 'MODULE_PATHNAME', '@FUNCTION_NAME@';"
)]
fn _remove_messages(queue_name: &str, msg_ids: Array<i64>, places: Array<i64>) -> Option<i32> {
    let msg_ids: Vec<i64> = msg_ids.iter().flatten().collect();
    let at = |place: i64| msg_ids.get(usize::try_from(place).ok()?.checked_sub(1)?).copied();
    let gone: Vec<i64> = places.iter().flatten().filter_map(at).collect();
    let count = i32::try_from(gone.len()).ok();
    // SAFETY: in a statement.
    unsafe { remove(queue_name, gone.into_iter()) };
    count
}

/// Removes messages from a queue.
///
/// # Safety
/// In a statement.
pub unsafe fn remove(queue_name: &str, msg_ids: impl Iterator<Item = i64>) {
    let mut msg_ids: Vec<i64> = msg_ids.collect();
    if msg_ids.is_empty() {
        return;
    }
    note_removed(queue_name, &msg_ids);
    // SAFETY: the argument is of the statement's type.
    unsafe {
        if let Some(queue) = Queue::open(queue_name, pg_sys::RowExclusiveLock) {
            msg_ids = queue.remove(msg_ids);
        }
        let msg_ids = values::bigints(msg_ids);
        if msg_ids.is_some() {
            run::<0>(queue_name, Statement::Remove, &[msg_ids]);
        }
    }
}

/// Whether somebody holds a queue as a whole: an open `drop_namespace`, purge or TRUNCATE. Otherwise the caller has it
/// locked against that until it commits. A queue that is gone is not held.
#[pg_extern(volatile)]
pub fn _queue_is_held(queue_name: &str) -> bool {
    let Some(table) = table(queue_name) else {
        return false;
    };
    // SAFETY: nothing but locks and look-ups in catalogs.
    unsafe { !pg_sys::ConditionalLockRelationOid(table, pg_sys::RowExclusiveLock as i32) }
}

/// Whether a queue exists, whoever may read it.
#[pg_extern(stable, parallel_safe)]
fn _queue_exists(queue_name: &str) -> bool {
    table(queue_name).is_some()
}

/// The table of a queue, if it exists.
pub fn table(queue_name: &str) -> Option<Oid> {
    let table = CString::new(format!("q_{queue_name}")).ok()?;
    // SAFETY: look-ups in catalogs, in a transaction; the name outlives them.
    unsafe {
        let schema = pg_sys::get_namespace_oid(c"pgmq".as_ptr(), true);
        Some(pg_sys::get_relname_relid(table.as_ptr(), schema)).filter(|oid| *oid != Oid::INVALID)
    }
}
