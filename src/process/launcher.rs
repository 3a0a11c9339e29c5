//! The launcher: keeps the orchestrators that the settings ask for running, in every database that has the extension.
//!
//! Whether a database has the extension only a process in it can see. So an orchestrator is started in each, looks, and
//! ends where there is nothing for it; such a database is left alone until a backend says that it has the extension
//! now, or for a minute.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use pgrx::bgworkers::{BackgroundWorkerBuilder, BgWorkerStartTime};
use pgrx::prelude::*;

use super::databases::{self, Database};
use super::directory::Directory;
use super::report::Failure;
use super::schedule::{PROBE_INTERVAL, Schedule};
use super::slot::Slot;
use super::{LIBRARY, clock, orchestrator, report, session, shmem};
use crate::guc;

/// How many processes may be starting at a time, so that probing many databases does not take every worker.
const STARTS: usize = 4;
const RETRY: Duration = Duration::from_secs(10);
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(600);

/// Registers the launcher, unless the server runs for pg_upgrade.
pub fn init() {
    // SAFETY: a flag that the server sets at start.
    if unsafe { pg_sys::IsBinaryUpgrade } {
        return;
    }
    BackgroundWorkerBuilder::new("tasker launcher")
        .set_library(LIBRARY)
        .set_function("tasker_launcher_main")
        .enable_spi_access()
        .set_start_time(BgWorkerStartTime::RecoveryFinished)
        .set_restart_time(Some(Duration::from_secs(1)))
        .load();
}

/// Entry point of the background worker. Only the server calls it.
#[pg_guard]
#[unsafe(no_mangle)]
pub extern "C-unwind" fn tasker_launcher_main(_arg: pg_sys::Datum) {
    session::handle_signals();
    session::connect(None);
    session::set(c"application_name", c"tasker launcher");
    let Some(board) = shmem::board() else { return };
    board.watch_as_launcher();
    shmem::change(Directory::give_up_all);
    let mut launcher = Launcher::default();
    loop {
        session::begin_turn();
        launcher.listen_to(board);
        let timeout = launcher.supervise();
        session::wait(timeout);
    }
}

/// A process that was asked for and has not come yet.
struct Started {
    ticket: u64,
    handle: *mut pg_sys::BackgroundWorkerHandle,
}

#[derive(Default)]
struct Launcher {
    schedule: Schedule,
    /// By slot.
    started: HashMap<usize, Started>,
    complained_at: Option<Instant>,
}

impl Launcher {
    /// Takes in who has ended and which databases have got the extension.
    fn listen_to(&mut self, board: &shmem::Board) {
        self.settle_starts();
        let (now, wall) = (Instant::now(), clock::wall_micros());
        for (slot, exit) in shmem::change(Directory::collect) {
            let lived = u64::try_from(wall.saturating_sub(slot.started_at)).unwrap_or_default();
            self.schedule.ended(slot.database, slot.worker, exit, Duration::from_micros(lived), now);
        }
        for database in board.take_installed() {
            self.schedule.installed(database);
        }
    }

    /// Forgets the processes that have come, and gives up those that ended before they could.
    fn settle_starts(&mut self) {
        self.started.retain(|&index, start| {
            let waiting = shmem::change(|directory| directory.awaits(index, start.ticket));
            let settled = !waiting || start.has_stopped();
            if waiting && settled {
                shmem::change(|directory| directory.give_up(index, start.ticket));
            }
            if settled {
                start.free();
            }
            !settled
        });
    }

    /// Starts what should run and may be started. Returns how long there is nothing more to do, unless woken.
    fn supervise(&mut self) -> Duration {
        let databases = match databases::connectable() {
            Ok(databases) => databases,
            Err(failure) => return put_off(&failure),
        };
        let exists = |oid| databases.iter().any(|database| database.oid == oid);
        self.schedule.keep_only(exists);
        let wanted = wanted(&databases);
        shmem::change(|directory| directory.free_unless(|slot| wanted.contains(&(slot.database, slot.worker))));

        let mut timeout = PROBE_INTERVAL;
        for (database, worker) in wanted {
            let hold = self.schedule.hold(database, worker, Instant::now());
            if !hold.is_zero() {
                timeout = timeout.min(hold);
            } else if may_start(database, worker) && !self.start(database, worker) {
                return RETRY;
            }
        }
        timeout
    }

    /// Starts an orchestrator. False when the server has no process for it.
    fn start(&mut self, database: pg_sys::Oid, worker: i32) -> bool {
        let now = clock::wall_micros();
        let Some((index, ticket)) = shmem::change(|directory| directory.reserve(database, worker, now)) else {
            return true;
        };
        let mut request = orchestrator::worker(index, ticket);
        let mut handle = std::ptr::null_mut();
        // SAFETY: both live until the call returns; the server copies the request.
        if unsafe { pg_sys::RegisterDynamicBackgroundWorker(&raw mut request, &raw mut handle) } {
            self.started.insert(index, Started { ticket, handle });
            return true;
        }
        shmem::change(|directory| directory.withdraw(index, ticket));
        self.complain();
        false
    }

    fn complain(&mut self) {
        let now = Instant::now();
        if self.complained_at.is_none_or(|at| now.duration_since(at) >= COMPLAINT_INTERVAL) {
            self.complained_at = Some(now);
            report::warn(
                "tasker has no background worker left for an orchestrator".to_string(),
                "It is tried again every ten seconds.".to_string(),
                "Increase max_worker_processes: the launcher takes one and each orchestrator one.".to_string(),
            );
        }
    }
}

fn put_off(failure: &Failure) -> Duration {
    report::warn(
        format!("the tasker launcher cannot look for databases: {}", failure.message),
        failure.explanation(),
        failure.hint.clone(),
    );
    RETRY
}

impl Started {
    fn has_stopped(&self) -> bool {
        let mut pid = 0;
        // SAFETY: the handle is the server's own and not freed yet.
        let status = unsafe { pg_sys::GetBackgroundWorkerPid(self.handle, &raw mut pid) };
        status == pg_sys::BgwHandleStatus::BGWH_STOPPED
    }

    fn free(&mut self) {
        // SAFETY: allocated by the server for us, and dropped from the map right after.
        unsafe { pg_sys::pfree(self.handle.cast()) };
    }
}

/// Every orchestrator that the settings ask for.
fn wanted(databases: &[Database]) -> Vec<(pg_sys::Oid, i32)> {
    let served = databases.iter().filter(|database| guc::serves_database(&database.name));
    served.flat_map(|database| (0..guc::orchestrators()).map(|worker| (database.oid, worker))).collect()
}

/// Whether an orchestrator that should run can be started now. The first of a database finds out whether there is
/// anything to do; the others wait for it.
fn may_start(database: pg_sys::Oid, worker: i32) -> bool {
    shmem::read(|directory| {
        let runs = |worker| directory.find(database, worker).is_some_and(Slot::is_live);
        let first_is_ready = directory.find(database, 0).is_some_and(|slot| slot.is_live() && !slot.is_starting());
        let starting = directory.used().filter(|slot| slot.is_starting()).count();
        !runs(worker) && (worker == 0 || first_is_ready) && starting < STARTS && !directory.is_detached(database)
    })
}
