//! What runs: shared memory, the wake at commit, the launcher, the orchestrators. And what reads and writes rows past the
//! executor, or by plans of its own (`table`, `tasks`, `steps`, `messages`, `queue`).
//!
//! All `unsafe` of the crate is in here. Without `shared_preload_libraries` there is no shared memory and no worker;
//! then what is about them is a no-op and `tasker.orchestrate()` can be called by hand.

mod at_end;
mod at_once;
mod caller;
mod children;
mod claim;
pub mod clock;
mod completion;
mod condition;
mod databases;
mod delivery;
mod detach;
mod directory;
pub mod encoding;
mod endings;
mod enqueue;
mod exchange;
mod extension;
mod finish;
mod identity;
mod launcher;
mod line;
mod lock;
mod look;
mod mark;
mod messages;
mod namespace;
mod orchestrator;
mod outcome;
mod pass;
mod planner;
mod queue;
mod rare;
mod report;
mod request;
mod requested;
mod result_set;
mod results;
mod schedule;
mod session;
mod shmem;
mod slot;
mod snapshots;
mod spi;
mod stats;
mod steps;
mod table;
mod tasks;
mod values;
mod wake;

use std::ffi::CStr;

use pgrx::prelude::*;

/// The name of the library and of the extension.
const EXTENSION: &CStr = c"tasker_pg";
const LIBRARY: &str = "tasker_pg";

/// Reserves shared memory, installs the hooks and registers the launcher, where the library is being preloaded.
pub fn init() {
    // SAFETY: a flag that the server sets before it loads libraries.
    if !unsafe { pg_sys::process_shared_preload_libraries_in_progress } {
        return;
    }
    shmem::init();
    detach::init();
    planner::init();
    launcher::init();
}

/// Makes a misspelt setting with this prefix an error.
pub fn reserve_setting_prefix(prefix: &'static CStr) {
    // SAFETY: the server copies the string.
    unsafe { pg_sys::MarkGUCPrefixReserved(prefix.as_ptr()) };
}

/// Whether the shared memory of the extension is there, that is, whether the library was preloaded.
#[pg_extern(stable, parallel_safe)]
fn _preloaded() -> bool {
    shmem::is_ready()
}

/// Whether `xid` is the current transaction or one of its subtransactions.
#[pg_extern(stable)]
fn _is_own_xid(xid: pg_sys::TransactionId) -> bool {
    // SAFETY: only compares with the transaction state of this backend.
    unsafe { pg_sys::TransactionIdIsCurrentTransactionId(xid) }
}
