//! Looks at queues, as SQL begins and ends them. Without shared memory each reads the whole queue.

use std::hash::{DefaultHasher, Hash, Hasher};

use pgrx::fcinfo::pg_getarg;
use pgrx::pg_sys::{Datum, FunctionCallInfo, Oid};
use pgrx::prelude::*;
use pgrx::{AnyElement, direct_function_call};

use super::mark::{Key, Marks};
use super::queue::{self, Statement};
use super::values::row;
use super::{clock, session, shmem};

/// Locks the first messages of a queue that nobody has locked: at most `qty`, behind the one with the id `after`, or from
/// the queue's mark on; only that with `only_msg_id`, or only those of some tasks and steps. `again`: this look went
/// through what the mark has passed by, and another has to follow for the others.
#[pg_extern(
    volatile,
    sql = "create function tasker._look(queue_name text, qty integer, after bigint default null, only_msg_id bigint default null, task_names text[] default null, step_names text[] default null, out msg_ids bigint[], out messages jsonb[], out again boolean) volatile language c as 'MODULE_PATHNAME', '@FUNCTION_NAME@';"
)]
fn _look(fcinfo: FunctionCallInfo) -> Option<AnyElement> {
    // SAFETY: the function is declared with these types.
    unsafe {
        let queue_name: &str = pg_getarg(fcinfo, 0)?;
        let qty = i64::from(pg_getarg::<i32>(fcinfo, 1)?);
        let names = [queue::array(fcinfo, 4), queue::array(fcinfo, 5)];
        let find = |after: i64, upto: i64| {
            let statement = Statement::Find { of_tasks: names[0].is_some(), of_steps: names[1].is_some() };
            let arguments = [qty.into_datum(), after.into_datum(), upto.into_datum(), names[0], names[1]];
            queue::run::<2>(queue_name, statement, &arguments)
        };
        if let Some(after) = pg_getarg(fcinfo, 2) {
            return found(fcinfo, find(after, i64::MAX), false);
        }
        if let Some(only) = pg_getarg::<i64>(fcinfo, 3) {
            return found(fcinfo, find(only - 1, only), false);
        }
        let Some(key) = key(queue_name, filter(fcinfo, 4)) else {
            return found(fcinfo, find(0, i64::MAX), false);
        };
        loop {
            let Some(look) = change(|marks| marks.begin(key, clock::wall_micros())) else {
                return found(fcinfo, find(0, i64::MAX), false);
            };
            let columns = find(look.after, look.upto);
            let ids = columns[0].and_then(|ids| Array::<i64>::from_datum(ids, false));
            let ends = ids.as_ref().and_then(|ids| ids.get(0).flatten().zip(ids.get(ids.len() - 1).flatten()));
            change(|marks| marks.end(&look, ends, clock::wall_micros()));
            if ends.is_some() || look.is_open() {
                return found(fcinfo, columns, !look.is_open());
            }
        }
    }
}

unsafe fn found(fcinfo: FunctionCallInfo, [msg_ids, messages]: [Option<Datum>; 2], again: bool) -> Option<AnyElement> {
    // SAFETY: the columns are of the types that the function is declared with.
    unsafe { row(fcinfo, [msg_ids, messages, again.into_datum()]) }
}

/// Notes that a message of a queue is looked at again after `milliseconds`, wherever the queue's mark stands then.
#[pg_extern(volatile)]
fn _hold_message(queue_name: &str, msg_id: i64, milliseconds: i32) {
    if let Some(key) = key(queue_name, 0) {
        let at = clock::wall_micros() + i64::from(milliseconds) * 1000;
        change(|marks| marks.hold(key, msg_id, at));
    }
}

/// In how many milliseconds somebody should look for what looks at this queue, of these tasks and steps, have passed by;
/// NULL when there is no need.
#[pg_extern(
    volatile,
    sql = "create function tasker._sweep_due(queue_name text, task_names text[] default null, step_names text[] default null) returns integer volatile language c as 'MODULE_PATHNAME', '@FUNCTION_NAME@';"
)]
fn _sweep_due(fcinfo: FunctionCallInfo) -> Option<i32> {
    // SAFETY: the function is declared with these types.
    let key = unsafe { key(pg_getarg(fcinfo, 0)?, filter(fcinfo, 1)) }?;
    let due = shmem::marks()?.share().due_in(key, clock::wall_micros())?;
    i32::try_from(due / 1000 + 1).ok()
}

fn change<T>(what: impl FnOnce(&mut Marks) -> T) -> Option<T> {
    shmem::marks().map(|marks| what(&mut marks.exclusive()))
}

/// What names those who ask for the same messages of a queue, by two lists of names: each such group has a mark of its
/// own, since what one of them leaves is for another. 0: they take all.
///
/// # Safety
/// Two arguments from `first` on are arrays of text.
unsafe fn filter(fcinfo: FunctionCallInfo, first: usize) -> u64 {
    // SAFETY: see above.
    let names = unsafe { [first, first + 1].map(|number| pg_getarg::<Vec<Option<String>>>(fcinfo, number)) };
    if names.iter().all(Option::is_none) {
        return 0;
    }
    let mut hasher = DefaultHasher::new();
    names.hash(&mut hasher);
    hasher.finish()
}

/// `None` for a queue that does not exist, and without shared memory.
fn key(queue_name: &str, filter: u64) -> Option<Key> {
    if !shmem::is_ready() {
        return None;
    }
    let table = queue::table(queue_name)?;
    // SAFETY: a look-up in a catalog, in a transaction.
    let file: Option<Oid> = unsafe { direct_function_call(pg_sys::pg_relation_filenode, &[table.into_datum()]) };
    Some(Key { database: session::database().to_u32(), file: file?.to_u32(), filter })
}
