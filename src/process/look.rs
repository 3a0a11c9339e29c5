//! Looks at queues, as SQL begins and ends them. Without shared memory each reads the whole queue.

use std::cell::Cell;
use std::ffi::{CStr, CString};
use std::hash::{DefaultHasher, Hash, Hasher};

use pgrx::prelude::*;
use pgrx::{direct_function_call, pg_sys::Oid};

use super::mark::{Key, Look, Marks};
use super::{clock, session, shmem};

const SCHEMA: &CStr = c"pgmq";

thread_local! {
    static OPEN: Cell<Option<Look>> = const { Cell::new(None) };
}

/// Begins a look at a queue by those who ask for the same messages (`filter`): what is to be read are the messages with
/// ids above `after`, up to `upto`. Where nothing is found, and `again` is true, another look has to follow. With
/// `only_msg_id` it is about that one message.
#[pg_extern(volatile)]
fn _begin_look(
    queue_name: &str,
    filter: default!(Option<&str>, "NULL"),
    only_msg_id: default!(Option<i64>, "NULL"),
) -> TableIterator<'static, (name!(after, i64), name!(upto, i64), name!(again, bool))> {
    if let Some(only) = only_msg_id {
        OPEN.set(None);
        return TableIterator::once((only - 1, only, false));
    }
    let look = key(queue_name, filter).and_then(|key| change(|marks| marks.begin(key, clock::wall_micros())));
    OPEN.set(look);
    TableIterator::once(look.map_or((0, i64::MAX, false), |look| (look.after, look.upto, !look.is_open())))
}

/// Ends the look that this session has begun: the first and the last id that it found, NULL when it found nothing.
#[pg_extern(volatile)]
fn _end_look(first: Option<i64>, last: Option<i64>) {
    if let Some(look) = OPEN.take() {
        change(|marks| marks.end(&look, first.zip(last), clock::wall_micros()));
    }
}

/// Notes that a message of a queue is looked at again after `milliseconds`, wherever the queue's mark stands then.
#[pg_extern(volatile)]
fn _hold_message(queue_name: &str, msg_id: i64, milliseconds: i32) {
    if let Some(key) = key(queue_name, None) {
        let at = clock::wall_micros() + i64::from(milliseconds) * 1000;
        change(|marks| marks.hold(key, msg_id, at));
    }
}

/// In how many milliseconds somebody should look for what looks at this queue have passed by; NULL when there is no need.
#[pg_extern(volatile)]
fn _sweep_due(queue_name: &str, filter: default!(Option<&str>, "NULL")) -> Option<i32> {
    let key = key(queue_name, filter)?;
    let due = shmem::marks()?.share().due_in(key, clock::wall_micros())?;
    i32::try_from(due / 1000 + 1).ok()
}

fn change<T>(what: impl FnOnce(&mut Marks) -> T) -> Option<T> {
    shmem::marks().map(|marks| what(&mut marks.exclusive()))
}

/// `None` for a queue that does not exist.
fn key(queue_name: &str, filter: Option<&str>) -> Option<Key> {
    if !shmem::is_ready() {
        return None;
    }
    let table = CString::new(format!("q_{queue_name}")).ok()?;
    // SAFETY: look-ups in catalogs, in a transaction; the names outlive them.
    let file: Option<Oid> = unsafe {
        let schema = pg_sys::get_namespace_oid(SCHEMA.as_ptr(), true);
        let relation = pg_sys::get_relname_relid(table.as_ptr(), schema);
        direct_function_call(pg_sys::pg_relation_filenode, &[relation.into_datum()])
    };
    let filter = filter.map_or(0, |filter| {
        let mut hasher = DefaultHasher::new();
        filter.hash(&mut hasher);
        hasher.finish()
    });
    Some(Key { database: session::database().to_u32(), file: file?.to_u32(), filter })
}
