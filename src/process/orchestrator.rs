//! The orchestrator of one database: run passes while there is work, sleep till woken or due, never give up.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use pgrx::bgworkers::BackgroundWorkerBuilder;
use pgrx::prelude::*;

use super::pass::{Done, Identity, Statements};
use super::report::{self, Failure};
use super::slot::{Exit, Note, Slot, State};
use super::{LIBRARY, clock, session, shmem};
use crate::guc;

/// How long the answer to "is this database's work ours?" holds.
const IDENTITY_HOLDS: Duration = Duration::from_secs(60);
/// While disabled there is nothing to do until the settings change, and that wakes.
const DISABLED_SLEEP: Duration = Duration::from_secs(60);
/// A timer that is due but was left, because someone holds its rows, is looked at again after this.
const SHORTEST_SLEEP: Duration = Duration::from_millis(10);
/// From so many messages a pass on, the engine counts as busy.
const MANY: i64 = 32;
/// From so many on, enough gather while a pass runs.
const PLENTY: i64 = 200;
/// How long a busy engine lets messages gather before the next pass. A pass of 100 results costs 7 µs a result more than
/// one of 300; an engine that is not busy begins at once.
const GATHER: Duration = Duration::from_millis(2);
/// Passes in a row that found nothing to do, from which on wakes are taken for such of requests that there is no room for.
/// Each would cost a pass: 70 µs a request, from 16 connections.
const IN_VAIN: u32 = 2;
/// The least and the longest time between two such passes. In between it is so many times what the last one took: they take
/// no more than a small part of a machine that has other things to do.
const REST: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(20));
const REST_AFTER_PASS: u32 = 20;
const FIRST_RETRY: Duration = Duration::from_millis(100);
const LONGEST_RETRY: Duration = Duration::from_secs(10);

/// The number of this process's slot.
static SLOT: AtomicUsize = AtomicUsize::new(usize::MAX);

/// What a new orchestrator is told: its slot and its ticket.
pub fn worker(index: usize, ticket: u64) -> pg_sys::BackgroundWorker {
    (&BackgroundWorkerBuilder::new("tasker orchestrator")
        .set_library(LIBRARY)
        .set_function("tasker_orchestrator_main")
        .enable_spi_access()
        .set_argument(i64::try_from(index).unwrap_or_default().into_datum())
        .set_extra(&ticket.to_string())
        .set_notify_pid(session::pid()))
        .into()
}

/// Entry point of the background worker. Only the server calls it.
#[pg_guard]
#[unsafe(no_mangle)]
pub extern "C-unwind" fn tasker_orchestrator_main(index: pg_sys::Datum) {
    session::handle_signals();
    let Some(slot) = take_slot(index.value()) else { return };
    session::connect(Some(slot.database));
    prepare_session();
    let exit = match Orchestrator::new(slot) {
        Ok(mut orchestrator) => orchestrator.run(),
        Err(exit) => exit,
    };
    leave(exit);
}

/// Takes the slot that the launcher has set aside. `None` when this process comes too late or was not asked for.
fn take_slot(index: usize) -> Option<Slot> {
    let ticket = pgrx::bgworkers::BackgroundWorker::get_extra().parse().ok()?;
    let board = shmem::board()?;
    let now = clock::wall_micros();
    let slot = shmem::change(|directory| directory.attach(index, ticket, session::pid(), now))?;
    SLOT.store(index, Ordering::Relaxed);
    // Called after the server has taken this process off the list of those that use the database, since it was
    // registered before that: when the slot is empty, the database can be dropped.
    // SAFETY: the function stays loaded for as long as this process lives.
    unsafe { pg_sys::on_shmem_exit(Some(at_exit), pg_sys::Datum::from(0)) };
    board.watch_as_orchestrator(index, slot.database);
    Some(slot)
}

#[pg_guard]
unsafe extern "C-unwind" fn at_exit(_code: i32, _arg: pg_sys::Datum) {
    leave(Exit::Ended);
}

/// Leaves the slot, for the first reason that is given.
fn leave(exit: Exit) {
    let index = SLOT.swap(usize::MAX, Ordering::Relaxed);
    let Some(board) = shmem::board().filter(|_| index != usize::MAX) else { return };
    board.unwatch(index);
    shmem::change(|directory| directory.leave(index, session::pid(), exit));
    board.left.broadcast();
    board.wake_launcher();
}

/// A pass means the same whatever the database's settings say; of its statements names that are not qualified are the system's.
/// Compiling them would cost more than they do.
fn prepare_session() {
    session::set(c"application_name", c"tasker orchestrator");
    session::set(c"search_path", c"pg_catalog, pg_temp");
    session::set(c"lock_timeout", c"1s");
    session::set(c"default_transaction_isolation", c"read committed");
    session::set(c"default_transaction_read_only", c"off");
    session::set(c"jit", c"off");
    // pgmq's functions hold backslashes in plain strings.
    session::set(c"standard_conforming_strings", c"on");
}

/// What follows a turn of the loop.
enum Next {
    Again,
    Gather,
    Sleep(Duration),
    Leave(Exit),
}

struct Orchestrator {
    slot: Slot,
    database: String,
    statements: Statements,
    /// Until when the work is known to be ours.
    ours_until: Option<Instant>,
    has_queues: bool,
    has_said_copy: bool,
    /// In a row.
    failures: u32,
    /// Passes in a row that found nothing to do; when the last one ended, and how long it took.
    in_vain: u32,
    last_pass: Instant,
    took: Duration,
}

impl Orchestrator {
    /// Looks around. An error is the reason to leave at once.
    fn new(slot: Slot) -> Result<Orchestrator, Exit> {
        let here = session::transaction(c"looking for the extension", || {
            session::has_extension().then(session::database_name)
        });
        let database = here.map_err(|failure| report(&failure))?.ok_or(Exit::NoExtension)?;
        Ok(Orchestrator {
            slot,
            database,
            statements: Statements::default(),
            ours_until: None,
            has_queues: false,
            has_said_copy: false,
            failures: 0,
            in_vain: 0,
            last_pass: Instant::now(),
            took: Duration::ZERO,
        })
    }

    fn run(&mut self) -> Exit {
        loop {
            session::begin_turn();
            match self.turn() {
                Next::Again => {}
                Next::Gather => session::nap(GATHER),
                Next::Sleep(duration) => {
                    session::report_statistics_before(duration);
                    session::wait(duration);
                }
                Next::Leave(exit) => return exit,
            }
        }
    }

    fn turn(&mut self) -> Next {
        if self.is_unwanted() {
            return Next::Leave(Exit::Unwanted);
        }
        if !guc::enabled() {
            show(State::Disabled);
            return Next::Sleep(DISABLED_SLEEP);
        }
        self.work().unwrap_or_else(|failure| self.recover(&failure))
    }

    fn is_unwanted(&self) -> bool {
        self.slot.worker >= guc::orchestrators()
            || !guc::serves_database(&self.database)
            || shmem::read(|directory| directory.is_detached(self.slot.database))
    }

    fn work(&mut self) -> Result<Next, Failure> {
        if !self.is_ours() {
            return self.identify();
        }
        if self.failures == 0 {
            show(State::Running);
        }
        session::nap(rest(self.in_vain, self.took, self.last_pass.elapsed()));
        let begun = Instant::now();
        let Some(done) = self.statements.pass(guc::batch_size())? else {
            return Ok(Next::Leave(Exit::NoExtension));
        };
        self.failures = 0;
        self.in_vain = if done.is_nothing() { self.in_vain.saturating_add(1) } else { 0 };
        self.last_pass = Instant::now();
        self.took = self.last_pass - begun;
        record(&done);
        Ok(match done.more {
            true => Next::Again,
            false => match done.counts.accepted + done.counts.settled {
                ..MANY => Next::Sleep(until_due(&done)),
                MANY..PLENTY => Next::Gather,
                PLENTY.. => Next::Again,
            },
        })
    }

    fn is_ours(&self) -> bool {
        self.ours_until.is_some_and(|until| Instant::now() < until)
    }

    /// Finds out whose work this is; where it is ours, makes sure of the queues.
    fn identify(&mut self) -> Result<Next, Failure> {
        match self.statements.identity()? {
            None => return Ok(Next::Leave(Exit::NoExtension)),
            Some(Identity::Unknown) => show(State::WaitingForIdentity),
            Some(Identity::Foreign) => self.stay_idle(),
            Some(Identity::Ours) => return self.begin_work(),
        }
        self.ours_until = None;
        self.has_queues = false;
        self.failures = 0;
        Ok(Next::Sleep(guc::cycle_interval()))
    }

    fn begin_work(&mut self) -> Result<Next, Failure> {
        if !self.has_queues {
            self.statements.ensure_queues()?;
            self.has_queues = true;
            self.has_said_copy = false;
        }
        self.ours_until = Some(Instant::now() + IDENTITY_HOLDS);
        Ok(Next::Again)
    }

    fn stay_idle(&mut self) {
        show(State::Copy);
        if !std::mem::replace(&mut self.has_said_copy, true) {
            report::log(
                format!("tasker orchestrator stays idle: database \"{}\" is a copy of another", self.database),
                "If the work in this database is to go on here, run SELECT tasker.take_over() in it.",
            );
        }
    }

    fn recover(&mut self, failure: &Failure) -> Next {
        let retry = retry_delay(self.failures);
        self.failures = self.failures.saturating_add(1);
        self.ours_until = None;
        report(failure);
        session::report_statistics_before(retry);
        session::sleep(retry);
        Next::Again
    }
}

/// Shows what this orchestrator is doing. The launcher waits for those that are starting.
fn show(state: State) {
    let was = update(|slot| std::mem::replace(&mut slot.state, state));
    if was == Some(State::Starting) {
        shmem::board().inspect(|board| board.wake_launcher());
    }
}

fn record(done: &Done) {
    let now = clock::wall_micros();
    update(|slot| {
        slot.state = State::Idle;
        slot.passes += 1;
        slot.last_pass_at = now;
        slot.counts.add(&done.counts);
    });
}

/// Shows and logs a failure. Returns what it means for a process that cannot go on.
fn report(failure: &Failure) -> Exit {
    let now = clock::wall_micros();
    update(|slot| {
        slot.state = State::Failing;
        slot.errors += 1;
        slot.last_error = Note::new(&format!("{}: {}", failure.sqlstate, failure.message));
        slot.last_error_at = now;
    });
    report::warn(
        format!("pass of the tasker orchestrator failed: {}", failure.message),
        failure.explanation(),
        failure.hint.clone(),
    );
    Exit::Ended
}

fn update<T>(change: impl FnOnce(&mut Slot) -> T) -> Option<T> {
    shmem::change(|directory| directory.slot(SLOT.load(Ordering::Relaxed)).map(change))
}

/// How long to sleep after a pass that did all there was to do.
fn until_due(done: &Done) -> Duration {
    let Some(due_at) = done.next_due_at else { return guc::cycle_interval() };
    let left = u64::try_from(due_at.saturating_sub(clock::micros())).unwrap_or_default();
    Duration::from_micros(left).max(SHORTEST_SLEEP).min(guc::cycle_interval())
}

/// How long to wait before a pass, so long after the last one, which took so long.
fn rest(in_vain: u32, took: Duration, elapsed: Duration) -> Duration {
    match in_vain {
        0..IN_VAIN => Duration::ZERO,
        _ => took.saturating_mul(REST_AFTER_PASS).clamp(REST.0, REST.1).saturating_sub(elapsed),
    }
}

/// Twice as long after each failure in a row.
fn retry_delay(failures: u32) -> Duration {
    FIRST_RETRY.saturating_mul(2u32.saturating_pow(failures)).min(LONGEST_RETRY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_passes_in_vain_are_rare() {
        let millis = Duration::from_millis;
        assert_eq!([0, 1].map(|in_vain| rest(in_vain, millis(9), millis(0))), [millis(0); 2]);
        assert_eq!([0, 4, 5, 900].map(|elapsed| rest(2, millis(0), millis(elapsed))), [5, 1, 0, 0].map(millis));
    }

    #[test]
    fn passes_in_vain_take_a_small_part_of_the_time() {
        let micros = Duration::from_micros;
        let rests = [100, 250, 500, 1000, 30_000].map(|took| rest(2, micros(took), micros(0)).as_millis());
        assert_eq!(rests, [5, 5, 10, 20, 20]);
    }

    #[test]
    fn retries_of_a_failing_pass_grow_to_ten_seconds() {
        let millis: Vec<_> = [0, 1, 2, 6, 7, 100].map(|failures| retry_delay(failures).as_millis()).into();
        assert_eq!(millis, [100, 200, 400, 6_400, 10_000, 10_000]);
    }
}
