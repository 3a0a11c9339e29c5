//! What a transaction has noted becomes known at its end: once, and when others can see what it wrote.

use std::cell::{Cell, RefCell};
use std::ffi::c_void;
use std::sync::atomic::Ordering;

use pgrx::prelude::*;

use super::mark::{Key, Marks};
use super::{session, shmem};

/// What the current transaction has noted.
pub struct Notes {
    /// The orchestrators of this database have work.
    pub orchestrator: bool,
    /// This database has the extension.
    pub installed: bool,
    /// Who waits for work of these namespaces should look; 0 stands for those who wait for tasks to finish.
    pub namespaces: Vec<i64>,
    removed: Vec<Removed>,
    /// The first and the last message that were put into queues.
    sent: Vec<(Key, (i64, i64))>,
}

/// Messages that were removed from a queue.
struct Removed {
    queue: Key,
    /// In which subtransaction: how deep it lies.
    level: i32,
    /// The first and the last.
    ends: (i64, i64),
    /// More than that marks do not know: MOST_IDS.
    ids: Vec<i64>,
}

const NOTHING: Notes =
    Notes { orchestrator: false, installed: false, namespaces: Vec::new(), removed: Vec::new(), sent: Vec::new() };

/// So many messages of a queue are remembered to have been removed in a transaction.
const MOST_IDS: usize = 10_000;

thread_local! {
    static NOTES: RefCell<Notes> = const { RefCell::new(NOTHING) };
    static LISTENS: Cell<bool> = const { Cell::new(false) };
}

impl Notes {
    /// These messages were removed from a queue.
    pub fn removed(&mut self, queue: Key, ids: &[i64]) {
        let (Some(first), Some(last)) = (ids.iter().min(), ids.iter().max()) else { return };
        let ids = ids.iter().take(MOST_IDS).copied().collect();
        self.add(Removed { queue, level: level(), ends: (*first, *last), ids });
    }

    fn add(&mut self, more: Removed) {
        match self.removed.iter_mut().find(|known| (known.queue, known.level) == (more.queue, more.level)) {
            Some(known) => {
                known.ends = both(known.ends, more.ends);
                known.ids.extend(more.ids.iter().take(MOST_IDS.saturating_sub(known.ids.len())));
            }
            None => self.removed.push(more),
        }
    }

    /// Messages with these ids, the first and the last, were put into a queue.
    pub fn sent(&mut self, queue: Key, ends: (i64, i64)) {
        match self.sent.iter_mut().find(|(known, _)| *known == queue) {
            Some((_, known)) => *known = both(*known, ends),
            None => self.sent.push((queue, ends)),
        }
    }
}

/// How deep the current subtransaction lies; the transaction itself: 1.
fn level() -> i32 {
    // SAFETY: asks for a number.
    unsafe { pg_sys::GetCurrentTransactionNestLevel() }
}

/// From the lower first to the higher last.
fn both(one: (i64, i64), other: (i64, i64)) -> (i64, i64) {
    (one.0.min(other.0), one.1.max(other.1))
}

/// Notes something. Without shared memory nobody would hear of it.
pub fn note(what: impl FnOnce(&mut Notes)) {
    if shmem::is_ready() {
        listen();
        NOTES.with_borrow_mut(what);
    }
}

/// Has the server call us at the end of every transaction and subtransaction, from the first one on that notes anything.
fn listen() {
    if !LISTENS.replace(true) {
        // SAFETY: the functions stay loaded for as long as this process lives.
        unsafe {
            pg_sys::RegisterXactCallback(Some(at_end), std::ptr::null_mut());
            pg_sys::RegisterSubXactCallback(Some(at_end_of_subtransaction), std::ptr::null_mut());
        }
    }
}

/// A prepared transaction commits in another process, perhaps days later: the orchestrator's next regular pass sees it, and of
/// messages that marks have passed by then, a sweep.
#[pg_guard]
unsafe extern "C-unwind" fn at_end(event: pg_sys::XactEvent::Type, _arg: *mut c_void) {
    match event {
        pg_sys::XactEvent::XACT_EVENT_COMMIT => publish(NOTES.replace(NOTHING)),
        pg_sys::XactEvent::XACT_EVENT_ABORT => take_back(&NOTES.replace(NOTHING).removed),
        pg_sys::XactEvent::XACT_EVENT_PREPARE => drop(NOTES.replace(NOTHING)),
        _ => {}
    }
}

/// What was noted in a subtransaction that is kept is its parent's; of one that is not, messages are there again. Wakes are kept:
/// one too many does no harm.
#[pg_guard]
unsafe extern "C-unwind" fn at_end_of_subtransaction(
    event: pg_sys::SubXactEvent::Type,
    _own: pg_sys::SubTransactionId,
    _parent: pg_sys::SubTransactionId,
    _arg: *mut c_void,
) {
    let is_over = [pg_sys::SubXactEvent::SUBXACT_EVENT_COMMIT_SUB, pg_sys::SubXactEvent::SUBXACT_EVENT_ABORT_SUB];
    if !is_over.contains(&event) {
        return;
    }
    NOTES.with_borrow_mut(|notes| {
        let level = level();
        let (others, own): (Vec<_>, Vec<_>) = notes.removed.drain(..).partition(|removed| removed.level < level);
        notes.removed = others;
        if event == pg_sys::SubXactEvent::SUBXACT_EVENT_ABORT_SUB {
            take_back(&own);
        } else {
            own.into_iter().for_each(|removed| notes.add(Removed { level: level - 1, ..removed }));
        }
    });
}

fn publish(notes: Notes) {
    let Some(board) = shmem::board() else { return };
    if let Some(marks) = shmem::marks() {
        // Nearly always nothing that was sent is late: nobody has to wait for that.
        let has_passed = |marks: &Marks| notes.sent.iter().any(|(queue, (first, _))| marks.has_passed(*queue, *first));
        if !notes.removed.is_empty() || !notes.sent.is_empty() && has_passed(&marks.share()) {
            let mut marks = marks.exclusive();
            notes.removed.iter().for_each(|removed| marks.remove(removed.queue, &removed.ids));
            notes.sent.iter().for_each(|(queue, ends)| marks.appear(*queue, *ends));
        }
    }
    let database = session::database();
    for namespace_id in notes.namespaces {
        let wake = board.wake_of(database, namespace_id);
        wake.generation.fetch_add(1, Ordering::AcqRel);
        wake.moved.broadcast();
    }
    if notes.orchestrator {
        board.wake_orchestrators(database);
    }
    if notes.installed {
        board.note_installed(database);
    }
}

/// What was removed is there again.
fn take_back(removed: &[Removed]) {
    if let Some(marks) = shmem::marks().filter(|_| !removed.is_empty()) {
        let mut marks = marks.exclusive();
        removed.iter().for_each(|removed| marks.appear(removed.queue, removed.ends));
    }
}
