//! What a background worker needs of the server: signals, connection, latch, transactions.

use std::cell::{Cell, RefCell};
use std::ffi::{CStr, c_int, c_long};
use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use pgrx::prelude::*;

use super::EXTENSION;
use super::report::{self, Failure, is_of_the_system, noting_errors};

/// The role that owns the extension's tables and runs every pass.
const OWNER: &CStr = c"tasker_owner";

/// From this length on, a sleep is reason enough to report statistics that would otherwise wait for company.
const LONG: Duration = Duration::from_secs(1);

unsafe extern "C-unwind" {
    // The server's own handlers, undecorated: what runs in a signal handler must not pass through a guard.
    fn die(signal: c_int);
    fn SignalHandlerForConfigReload(signal: c_int);
}

thread_local! {
    /// Who this process was before `become_owner`.
    static ORIGINAL_USER: Cell<Option<(pg_sys::Oid, c_int)>> = const { Cell::new(None) };
}

/// Lets SIGTERM end this process at once, since all state is in tables, and SIGHUP re-read the settings.
pub fn handle_signals() {
    // SAFETY: these handlers are made for processes that check for interrupts.
    unsafe {
        set_handler(pg_sys::SIGHUP as c_int, Some(SignalHandlerForConfigReload));
        set_handler(pg_sys::SIGTERM as c_int, Some(die));
        pg_sys::BackgroundWorkerUnblockSignals();
    }
}

/// # Safety
/// `handler` does only what a signal handler may do.
unsafe fn set_handler(signal: c_int, handler: pg_sys::pqsigfunc) {
    // SAFETY: see above.
    unsafe {
        #[cfg(not(feature = "pg18"))]
        pg_sys::pqsignal(signal, handler);
        #[cfg(feature = "pg18")]
        pg_sys::pqsignal_be(signal, handler);
    }
}

/// Connects a background worker to a database, or to none, as the bootstrap superuser.
pub fn connect(database: Option<pg_sys::Oid>) {
    // SAFETY: called once, by a background worker that was registered with a database connection.
    unsafe {
        match database {
            Some(oid) => pg_sys::BackgroundWorkerInitializeConnectionByOid(oid, pg_sys::InvalidOid, 0),
            None => pg_sys::BackgroundWorkerInitializeConnection(std::ptr::null(), std::ptr::null(), 0),
        }
    }
}

/// Sets a setting for this process, over whatever the configuration says.
pub fn set(name: &CStr, value: &CStr) {
    // SAFETY: the server copies both.
    unsafe {
        pg_sys::SetConfigOption(
            name.as_ptr(),
            value.as_ptr(),
            pg_sys::GucContext::PGC_SUSET,
            pg_sys::GucSource::PGC_S_OVERRIDE,
        )
    };
}

/// Lets the commit of this transaction return before it is on the disk.
pub fn commit_before_disk() {
    set_until_end(c"synchronous_commit", c"off", pg_sys::GucAction::GUC_ACTION_LOCAL);
}

/// Sets a setting until the end of the transaction, or of the level that was opened for it.
fn set_until_end(name: &CStr, value: &CStr, action: pg_sys::GucAction::Type) {
    let (context, source) = (pg_sys::GucContext::PGC_USERSET, pg_sys::GucSource::PGC_S_SESSION);
    // SAFETY: in a transaction; the server copies both.
    unsafe { pg_sys::set_config_option(name.as_ptr(), value.as_ptr(), context, source, action, true, 0, false) };
}

/// Runs `body` with a setting of its own, as a function's SET clause does. An error sets it back with the transaction.
pub fn with_setting<T>(name: &CStr, value: &CStr, body: impl FnOnce() -> T) -> T {
    // SAFETY: what stands in the server's own code around such a call.
    let level = unsafe { pg_sys::NewGUCNestLevel() };
    set_until_end(name, value, pg_sys::GucAction::GUC_ACTION_SAVE);
    let result = body();
    // SAFETY: closes the level that was opened above.
    unsafe { pg_sys::AtEOXact_GUC(true, level) };
    result
}

/// The database that this process is connected to.
pub fn database() -> pg_sys::Oid {
    // SAFETY: set once, at connection.
    unsafe { pg_sys::MyDatabaseId }
}

/// The name of the database that this process is connected to. Only in a transaction.
pub fn database_name() -> String {
    // SAFETY: returns NULL or a string in the transaction's memory.
    unsafe {
        let name = pg_sys::get_database_name(database());
        if name.is_null() { String::new() } else { CStr::from_ptr(name).to_string_lossy().into_owned() }
    }
}

/// This process's id.
pub fn pid() -> i32 {
    // SAFETY: set once, at process start.
    unsafe { pg_sys::MyProcPid }
}

/// Forgets wakes so far; those that come from here on end the next `wait`. Ends the process when it was asked to, and
/// re-reads the settings when they changed.
pub fn begin_turn() {
    // SAFETY: the latch is this process's own.
    unsafe { pg_sys::ResetLatch(pg_sys::MyLatch) };
    pg_sys::check_for_interrupts!();
    // SAFETY: a flag that the signal handler sets.
    unsafe {
        if pg_sys::ConfigReloadPending != 0 {
            pg_sys::ConfigReloadPending = 0;
            pg_sys::ProcessConfigFile(pg_sys::GucContext::PGC_SIGHUP);
        }
    }
}

/// Waits until someone wakes this process, or for `timeout`.
pub fn wait(timeout: Duration) {
    let events = pg_sys::WL_LATCH_SET | pg_sys::WL_TIMEOUT | pg_sys::WL_EXIT_ON_PM_DEATH;
    // SAFETY: the latch is this process's own.
    unsafe { pg_sys::WaitLatch(pg_sys::MyLatch, events as c_int, millis(timeout), wait_event()) };
    pg_sys::check_for_interrupts!();
}

/// Waits for `duration`, whoever wakes this process. Interruptible.
pub fn sleep(duration: Duration) {
    let deadline = Instant::now() + duration;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        wait(left);
        // SAFETY: the latch is this process's own.
        unsafe { pg_sys::ResetLatch(pg_sys::MyLatch) };
    }
}

/// Sleeps for `duration`, a few milliseconds, and takes whatever wakes come meanwhile. They cost those who wake nothing: a
/// signal to a process that waits for its latch costs a commit 10 us, and this process two switches. A request to end waits too.
pub fn nap(duration: Duration) {
    if duration.is_zero() {
        return;
    }
    let events = pg_sys::WL_TIMEOUT | pg_sys::WL_EXIT_ON_PM_DEATH;
    // SAFETY: without WL_LATCH_SET no latch is asked for; the latch that is reset is this process's own.
    unsafe {
        pg_sys::WaitLatch(std::ptr::null_mut(), events as c_int, millis(duration), wait_event());
        pg_sys::ResetLatch(pg_sys::MyLatch);
    }
    pg_sys::check_for_interrupts!();
}

/// Whole milliseconds, rounded up, so that a wait does not end just before what it waits for.
pub fn millis(duration: Duration) -> c_long {
    c_long::try_from(duration.as_micros().div_ceil(1000)).unwrap_or(c_long::MAX).min(i32::MAX.into())
}

/// What `pg_stat_activity` shows for a process that waits here: a name of our own where the server can have one.
pub fn wait_event() -> u32 {
    #[cfg(any(feature = "pg15", feature = "pg16"))]
    return pg_sys::PG_WAIT_EXTENSION;
    #[cfg(not(any(feature = "pg15", feature = "pg16")))]
    {
        thread_local!(static EVENT: std::cell::OnceCell<u32> = const { std::cell::OnceCell::new() });
        // SAFETY: the server copies the name.
        EVENT.with(|event| *event.get_or_init(|| unsafe { pg_sys::WaitEventExtensionNew(c"TaskerWait".as_ptr()) }))
    }
}

/// Runs `body` in a transaction of its own, shown as `activity`. An error rolls back and is returned.
pub fn transaction<T>(activity: &CStr, body: impl FnOnce() -> T) -> Result<T, Failure> {
    let noted = RefCell::new(None);
    let outcome = noting_errors(&noted, || {
        PgTryBuilder::new(AssertUnwindSafe(|| {
            begin(activity);
            let result = body();
            commit();
            Ok(result)
        }))
        .catch_others(|error| Err(Box::new(error)))
        .execute()
    });
    if outcome.is_err() {
        abort();
    }
    report_idle();
    outcome.map_err(|error| Failure::new(&error, noted.take()))
}

/// Runs `body` in a subtransaction; `what` begins the sentence "failed". None, and nothing is done, where it says so, and where it fails; an error of the system passes.
pub fn in_subtransaction<T>(what: &str, body: impl FnOnce() -> Option<T>) -> Option<T> {
    // SAFETY: what stands in the server's own code around such a body; what it returns is in the caller's memory.
    unsafe {
        let (memory, owner) = (pg_sys::CurrentMemoryContext, pg_sys::CurrentResourceOwner);
        pg_sys::BeginInternalSubTransaction(std::ptr::null());
        pg_sys::MemoryContextSwitchTo(memory);
        let outcome =
            PgTryBuilder::new(AssertUnwindSafe(|| Ok(body()))).catch_others(|error| Err(Box::new(error))).execute();
        pg_sys::MemoryContextSwitchTo(memory);
        match outcome {
            Ok(Some(_)) => pg_sys::ReleaseCurrentSubTransaction(),
            _ => pg_sys::RollbackAndReleaseCurrentSubTransaction(),
        }
        pg_sys::MemoryContextSwitchTo(memory);
        pg_sys::CurrentResourceOwner = owner;
        outcome.unwrap_or_else(|error| {
            if is_of_the_system(&error) {
                error.rethrow();
            }
            report::log(format!("{what} failed and is done the long way: {}", report::message(&error)), "");
            None
        })
    }
}

fn begin(activity: &CStr) {
    // SAFETY: called outside of a transaction.
    unsafe {
        pg_sys::SetCurrentStatementStartTimestamp();
        pg_sys::pgstat_report_activity(pg_sys::BackendState::STATE_RUNNING, activity.as_ptr());
        pg_sys::StartTransactionCommand();
        pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
    }
}

fn commit() {
    // SAFETY: ends what `begin` began; a transaction starts and ends as the same user.
    unsafe {
        pg_sys::PopActiveSnapshot();
        pg_sys::CommitTransactionCommand();
    }
    if let Some((user, context)) = ORIGINAL_USER.take() {
        // SAFETY: puts back what `become_owner` found.
        unsafe { pg_sys::SetUserIdAndSecContext(user, context) };
    }
}

fn abort() {
    // SAFETY: the error was caught and copied. Aborting puts the user back.
    unsafe { pg_sys::AbortCurrentTransaction() };
    ORIGINAL_USER.take();
}

fn report_idle() {
    // SAFETY: outside of a transaction.
    unsafe {
        pg_sys::pgstat_report_stat(false);
        pg_sys::pgstat_report_activity(pg_sys::BackendState::STATE_IDLE, std::ptr::null());
    }
}

/// Reports statistics that are still held back, before a sleep that is too long to keep them; autovacuum goes by them.
pub fn report_statistics_before(sleep: Duration) {
    if sleep >= LONG {
        // SAFETY: outside of a transaction.
        unsafe { pg_sys::pgstat_report_stat(true) };
    }
}

/// Goes on as `tasker_owner` until the end of the transaction.
pub fn become_owner() {
    let (mut user, mut context) = (pg_sys::InvalidOid, 0);
    // SAFETY: in a transaction. An unknown role raises an error.
    unsafe {
        let owner = pg_sys::get_role_oid(OWNER.as_ptr(), false);
        pg_sys::GetUserIdAndSecContext(&raw mut user, &raw mut context);
        ORIGINAL_USER.set(Some((user, context)));
        pg_sys::SetUserIdAndSecContext(owner, context | pg_sys::SECURITY_LOCAL_USERID_CHANGE as c_int);
    }
}

/// Whether this database has the extension. Only in a transaction.
pub fn has_extension() -> bool {
    // SAFETY: reads a catalog.
    unsafe { pg_sys::get_extension_oid(EXTENSION.as_ptr(), true) != pg_sys::InvalidOid }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_never_shorter_than_asked_for() {
        assert_eq!(millis(Duration::from_micros(1)), 1);
        assert_eq!(millis(Duration::from_millis(250)), 250);
        assert_eq!(millis(Duration::MAX), c_long::from(i32::MAX));
    }
}

unsafe extern "C" {
    /// libpq/libpq.h, which pgrx has no binding of: whether the socket of the client is still open. Does not block.
    fn pq_check_connection() -> bool;
}

/// Whether this process serves a client that has closed its connection, or died.
pub fn client_is_gone() -> bool {
    // SAFETY: without a port there is no client to ask about; with one the server has set up what the check looks at.
    unsafe { !pg_sys::MyProcPort.is_null() && !pq_check_connection() }
}
