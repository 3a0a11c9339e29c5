//! One orchestrator as shared memory knows it. Plain values of fixed size.

use pgrx::prelude::*;

const ERROR_BYTES: usize = 256;

/// Why an orchestrator ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Exit {
    /// Terminated, or by an error.
    Ended,
    /// Its database does not have the extension.
    NoExtension,
    /// The settings no longer ask for it, or someone needs the database for themselves.
    Unwanted,
}

/// What stands behind a slot.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Phase {
    Free,
    /// A worker was asked for and has not come yet.
    Reserved,
    /// A process works in it.
    Attached,
    /// The process is gone, and the launcher has not seen that yet.
    Left(Exit),
    /// The launcher has seen it; the counters are kept for the next process.
    Resting,
}

/// What an orchestrator is doing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum State {
    Starting,
    Running,
    Idle,
    Disabled,
    WaitingForIdentity,
    Copy,
    Failing,
}

impl State {
    /// As shown by `tasker.orchestrator_status`.
    pub fn name(self) -> &'static str {
        match self {
            State::Starting => "starting",
            State::Running => "running",
            State::Idle => "idle",
            State::Disabled => "disabled",
            State::WaitingForIdentity => "waiting for identity",
            State::Copy => "copy",
            State::Failing => "failing",
        }
    }
}

/// What the passes did, summed up.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Counts {
    pub accepted: i64,
    pub settled: i64,
    pub late: i64,
    pub rejected: i64,
    pub fired: i64,
    pub started: i64,
    pub enqueued: i64,
    pub finished: i64,
}

impl Counts {
    /// Adds what one more pass did.
    pub fn add(&mut self, pass: &Counts) {
        self.accepted += pass.accepted;
        self.settled += pass.settled;
        self.late += pass.late;
        self.rejected += pass.rejected;
        self.fired += pass.fired;
        self.started += pass.started;
        self.enqueued += pass.enqueued;
        self.finished += pass.finished;
    }
}

/// A text of limited length that can live in shared memory.
#[derive(Clone, Copy)]
pub struct Note {
    bytes: [u8; ERROR_BYTES],
    len: usize,
}

impl Note {
    const EMPTY: Note = Note { bytes: [0; ERROR_BYTES], len: 0 };

    /// Keeps as much of `text` as fits, in whole characters.
    pub fn new(text: &str) -> Note {
        let mut note = Note::EMPTY;
        note.len = text.floor_char_boundary(ERROR_BYTES);
        note.bytes[..note.len].copy_from_slice(&text.as_bytes()[..note.len]);
        note
    }

    /// The text, or `None` where there is none.
    pub fn text(&self) -> Option<String> {
        (self.len > 0).then(|| String::from_utf8_lossy(&self.bytes[..self.len]).into_owned())
    }
}

/// One orchestrator. Times are in microseconds of the server's epoch; 0 means never.
#[derive(Clone, Copy)]
pub struct Slot {
    pub phase: Phase,
    pub database: pg_sys::Oid,
    /// Counted from 0 within the database.
    pub worker: i32,
    /// 0 where no process works in it.
    pub pid: i32,
    /// Tells the process that was asked for from one that comes too late.
    pub ticket: u64,
    pub state: State,
    pub started_at: i64,
    pub last_pass_at: i64,
    pub passes: i64,
    pub counts: Counts,
    pub errors: i64,
    pub last_error: Note,
    pub last_error_at: i64,
}

impl Slot {
    /// A slot that nobody uses.
    pub const FREE: Slot = Slot {
        phase: Phase::Free,
        database: pg_sys::InvalidOid,
        worker: 0,
        pid: 0,
        ticket: 0,
        state: State::Starting,
        started_at: 0,
        last_pass_at: 0,
        passes: 0,
        counts: Counts {
            accepted: 0,
            settled: 0,
            late: 0,
            rejected: 0,
            fired: 0,
            started: 0,
            enqueued: 0,
            finished: 0,
        },
        errors: 0,
        last_error: Note::EMPTY,
        last_error_at: 0,
    };

    /// Whether a process works in it or is on its way.
    pub fn is_live(&self) -> bool {
        matches!(self.phase, Phase::Reserved | Phase::Attached)
    }

    /// What to show: a slot whose process is gone is about to get another.
    pub fn shown_state(&self) -> State {
        if self.phase == Phase::Attached { self.state } else { State::Starting }
    }

    /// Whether the process has not yet found out if it has work here.
    pub fn is_starting(&self) -> bool {
        self.is_live() && self.state == State::Starting
    }

    /// Whether it is the slot of this orchestrator.
    pub fn is_for(&self, database: pg_sys::Oid, worker: i32) -> bool {
        self.phase != Phase::Free && self.database == database && self.worker == worker
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_keeps_whole_characters() {
        let long = "é".repeat(200);
        assert_eq!(Note::new(&long).text().unwrap().chars().count(), ERROR_BYTES / 2);
        assert_eq!(Note::new("").text(), None);
    }
}
