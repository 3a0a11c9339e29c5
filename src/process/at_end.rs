//! What a transaction has noted becomes known at its end: once, and when others can see what it wrote.

use std::cell::{Cell, RefCell};
use std::ffi::c_void;
use std::sync::atomic::Ordering;

use pgrx::prelude::*;

use super::mark::Key;
use super::{clock, session, shmem};

/// What the current transaction has noted.
pub struct Notes {
    /// The orchestrators of this database have work.
    pub orchestrator: bool,
    /// This database has the extension.
    pub installed: bool,
    /// Who waits for work of these namespaces should look; 0 stands for those who wait for tasks to finish.
    pub namespaces: Vec<i64>,
    /// Messages that were removed from queues.
    removed: Vec<(Key, Vec<i64>)>,
    /// Messages that were put into queues, from these ids on.
    sent: Vec<(Key, i64)>,
}

const NOTHING: Notes =
    Notes { orchestrator: false, installed: false, namespaces: Vec::new(), removed: Vec::new(), sent: Vec::new() };

thread_local! {
    static NOTES: RefCell<Notes> = const { RefCell::new(NOTHING) };
    static LISTENS: Cell<bool> = const { Cell::new(false) };
}

impl Notes {
    /// These messages were removed from a queue.
    pub fn removed(&mut self, queue: Key, ids: &[i64]) {
        match self.removed.iter_mut().find(|(key, _)| *key == queue) {
            Some((_, known)) => known.extend(ids),
            None => self.removed.push((queue, ids.to_vec())),
        }
    }

    /// This message was put into a queue, and others behind it.
    pub fn sent(&mut self, queue: Key, first: i64) {
        if self.sent.iter().all(|(key, _)| *key != queue) {
            self.sent.push((queue, first));
        }
    }
}

/// Notes something. Without shared memory nobody would hear of it.
pub fn note(what: impl FnOnce(&mut Notes)) {
    if shmem::is_ready() {
        listen();
        NOTES.with_borrow_mut(what);
    }
}

/// Has the server call `at_end` at the end of every transaction, from the first one on that notes anything.
fn listen() {
    if !LISTENS.replace(true) {
        // SAFETY: the function stays loaded for as long as this process lives.
        unsafe { pg_sys::RegisterXactCallback(Some(at_end), std::ptr::null_mut()) };
    }
}

/// A prepared transaction commits in another process, perhaps days later: the orchestrator's next regular pass sees it.
#[pg_guard]
unsafe extern "C-unwind" fn at_end(event: pg_sys::XactEvent::Type, _arg: *mut c_void) {
    match event {
        pg_sys::XactEvent::XACT_EVENT_COMMIT => publish(NOTES.replace(NOTHING)),
        pg_sys::XactEvent::XACT_EVENT_ABORT => take_back(NOTES.replace(NOTHING)),
        pg_sys::XactEvent::XACT_EVENT_PREPARE => drop(NOTES.replace(NOTHING)),
        _ => {}
    }
}

fn publish(notes: Notes) {
    let Some(board) = shmem::board() else { return };
    if let Some(marks) = shmem::marks().filter(|_| !notes.removed.is_empty() || !notes.sent.is_empty()) {
        let (mut marks, now) = (marks.exclusive(), clock::wall_micros());
        notes.removed.iter().for_each(|(key, ids)| marks.remove(*key, ids));
        notes.sent.iter().for_each(|(key, first)| marks.appear(*key, *first, now));
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
fn take_back(notes: Notes) {
    let firsts = notes.removed.iter().filter_map(|(key, ids)| Some((*key, *ids.iter().min()?)));
    if let Some(marks) = shmem::marks().filter(|_| !notes.removed.is_empty()) {
        let (mut marks, now) = (marks.exclusive(), clock::wall_micros());
        firsts.for_each(|(key, first)| marks.appear(key, first, now));
    }
}
