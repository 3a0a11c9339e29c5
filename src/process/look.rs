//! Looks at queues, as SQL begins and ends them. Without shared memory each reads the whole queue.

use std::hash::{DefaultHasher, Hash, Hasher};

use pgrx::fcinfo::pg_getarg;
use pgrx::pg_sys::{Datum, FunctionCallInfo, Oid};
use pgrx::prelude::*;
use pgrx::{AnyElement, direct_function_call};

use super::at_end::note;
use super::mark::{Key, Marks};
use super::queue::{self, Message};
use super::values::{Elements, bigints, nullable_array, row};
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
        let (queue_name, qty): (&str, i32) = (pg_getarg(fcinfo, 0)?, pg_getarg(fcinfo, 1)?);
        let from = match (pg_getarg(fcinfo, 2), pg_getarg(fcinfo, 3)) {
            (Some(after), _) => Begin::After(after),
            (None, Some(only)) => Begin::Only(only),
            (None, None) => Begin::Mark,
        };
        let found = look(queue_name, qty, from, &Names::of(fcinfo, 4));
        row(fcinfo, [found.msg_ids(), found.contents(), found.again.into_datum()])
    }
}

/// Where a look begins.
pub enum Begin {
    /// Behind the message with this id.
    After(i64),
    /// It is for this message alone.
    Only(i64),
    /// The queue's mark.
    Mark,
}

/// Whose messages are looked for: all tasks', or some tasks' and steps'.
pub struct Names {
    lists: [Option<Datum>; 2],
    filter: u64,
}

impl Names {
    pub const ALL: Names = Names { lists: [None, None], filter: 0 };

    /// # Safety
    /// Two arguments from `first` on are arrays of text; used as long as the call lasts.
    pub unsafe fn of(fcinfo: FunctionCallInfo, first: usize) -> Names {
        // SAFETY: see above.
        unsafe {
            Names {
                lists: [queue::array(fcinfo, first), queue::array(fcinfo, first + 1)],
                filter: filter(fcinfo, first),
            }
        }
    }

    /// What stands for them; 0: all.
    pub fn filter(&self) -> u64 {
        self.filter
    }
}

/// What a look has found and locked.
pub struct Found {
    pub messages: Vec<Message>,
    pub again: bool,
}

impl Found {
    /// An array; none where nothing was found.
    pub fn msg_ids(&self) -> Option<Datum> {
        bigints(self.messages.iter().map(|message| message.msg_id))
    }

    /// The same of what the messages say.
    pub fn contents(&self) -> Option<Datum> {
        let contents: Elements = self.messages.iter().map(|message| message.content).collect();
        // SAFETY: they are jsonb.
        unsafe { nullable_array(&contents, pg_sys::JSONBOID) }
    }
}

/// See `_look`.
///
/// # Safety
/// In a statement.
pub unsafe fn look(queue_name: &str, qty: i32, from: Begin, names: &Names) -> Found {
    let find = |after: i64, upto: i64| Found {
        // SAFETY: the names are arrays of text.
        messages: unsafe { queue::find(queue_name, qty, (after, upto), names.lists) },
        again: false,
    };
    let key = match from {
        Begin::After(after) => return find(after, i64::MAX),
        Begin::Only(only) => return find(only - 1, only),
        Begin::Mark => key(queue_name, names.filter),
    };
    loop {
        let look = key.and_then(|key| change(|marks| marks.begin(key, clock::wall_micros())));
        let Some(look) = look else { return find(0, i64::MAX) };
        let found = find(look.after, look.upto);
        let ends = found.messages.first().zip(found.messages.last()).map(|(first, last)| (first.msg_id, last.msg_id));
        change(|marks| marks.end(&look, ends, clock::wall_micros()));
        if ends.is_some() || look.is_open() {
            return Found { again: !look.is_open(), ..found };
        }
    }
}

/// Notes that a message of a queue is looked at again after `milliseconds`, wherever the queue's mark stands then.
#[pg_extern(volatile)]
fn _hold_message(queue_name: &str, msg_id: i64, milliseconds: i32) {
    if let Some(key) = key(queue_name, 0) {
        let at = clock::wall_micros() + i64::from(milliseconds) * 1000;
        change(|marks| marks.hold(key, msg_id, at));
    }
}

/// Lets the next look at a queue find what the last one has found.
pub fn look_again(queue_name: &str, found: &Found) {
    if let Some((key, first)) = key(queue_name, 0).zip(found.messages.first()) {
        change(|marks| marks.again(key, first.msg_id, clock::wall_micros()));
    }
}

/// Lets looks for all messages pass by these once their removal is committed, and find them again where it is undone.
pub fn note_removed(queue_name: &str, msg_ids: &[i64]) {
    if let Some(key) = key(queue_name, 0) {
        note(|notes| notes.removed(key, msg_ids));
    }
}

/// Lets looks for all messages find these, the first and the last, when they are committed, however late that is.
pub fn note_sent(queue_name: &str, ends: (i64, i64)) {
    if let Some(key) = key(queue_name, 0) {
        note(|notes| notes.sent(key, ends));
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
    unsafe { sweep_due(pg_getarg(fcinfo, 0)?, filter(fcinfo, 1)) }
}

/// The same, of those who ask for messages that this filter stands for; 0: for all.
pub fn sweep_due(queue_name: &str, filter: u64) -> Option<i32> {
    let key = key(queue_name, filter)?;
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
    let lists = unsafe { [first, first + 1].map(|number| pg_getarg::<Array<&[u8]>>(fcinfo, number)) };
    if lists.iter().all(Option::is_none) {
        return 0;
    }
    let mut hasher = DefaultHasher::new();
    for list in &lists {
        list.as_ref().map(|names| names.iter().collect::<Vec<_>>()).hash(&mut hasher);
    }
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
