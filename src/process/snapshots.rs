//! Who has a snapshot or a transaction open. `pg_stat_activity` tells only members of `pg_read_all_stats`, and them the
//! text of queries as well; a monitor of ours is to see this much and no payload.

use std::ffi::CStr;

use pgrx::prelude::*;

type Xid = pg_sys::TransactionId;
type Time = TimestampWithTimeZone;
type Backend =
    (i32, pg_sys::Oid, pg_sys::Oid, bool, Option<String>, Option<&'static str>, Option<Time>, Option<Xid>, Option<Xid>);

/// The processes of all databases that have a snapshot (`xmin`) or a transaction id (`xid`): what died since the older
/// one may not be removed.
#[pg_extern(volatile)]
#[allow(clippy::type_complexity)]
fn _backend_snapshots() -> TableIterator<
    'static,
    (
        name!(pid, i32),
        name!(database, pg_sys::Oid),
        name!(role, pg_sys::Oid),
        name!(is_walsender, bool),
        name!(application_name, Option<String>),
        name!(state, Option<&'static str>),
        name!(since, Option<TimestampWithTimeZone>),
        name!(xmin, Option<pg_sys::TransactionId>),
        name!(xid, Option<pg_sys::TransactionId>),
    ),
> {
    // SAFETY: copies the entries of all processes into the transaction's memory, once.
    let count = unsafe { pg_sys::pgstat_fetch_stat_numbackends() };
    TableIterator::new((1..=count).filter_map(backend).collect::<Vec<_>>())
}

fn backend(number: i32) -> Option<Backend> {
    // SAFETY: NULL, or an entry of that copy.
    let entry = unsafe { entry(number).as_ref()? };
    let status = &entry.backendStatus;
    let (xmin, xid) = (valid(entry.backend_xmin), valid(entry.backend_xid));
    (xmin.is_some() || xid.is_some()).then(|| {
        // SAFETY: the copy has a C string there, or NULL.
        let name = unsafe { (!status.st_appname.is_null()).then(|| CStr::from_ptr(status.st_appname)) };
        (
            status.st_procpid,
            status.st_databaseid,
            status.st_userid,
            status.st_backendType == pg_sys::BackendType::B_WAL_SENDER,
            name.map(|name| name.to_string_lossy().into_owned()).filter(|name| !name.is_empty()),
            state(status.st_state),
            (status.st_xact_start_timestamp != 0).then(|| status.st_xact_start_timestamp.try_into().ok()).flatten(),
            xmin,
            xid,
        )
    })
}

#[cfg(feature = "pg15")]
unsafe fn entry(number: i32) -> *mut pg_sys::LocalPgBackendStatus {
    // SAFETY: see the caller.
    unsafe { pg_sys::pgstat_fetch_stat_local_beentry(number) }
}

#[cfg(not(feature = "pg15"))]
unsafe fn entry(number: i32) -> *mut pg_sys::LocalPgBackendStatus {
    // SAFETY: see the caller.
    unsafe { pg_sys::pgstat_get_local_beentry_by_index(number) }
}

fn valid(xid: pg_sys::TransactionId) -> Option<pg_sys::TransactionId> {
    (xid != pg_sys::InvalidTransactionId).then_some(xid)
}

/// As `pg_stat_activity` calls it.
fn state(state: pg_sys::BackendState::Type) -> Option<&'static str> {
    match state {
        pg_sys::BackendState::STATE_IDLE => Some("idle"),
        pg_sys::BackendState::STATE_RUNNING => Some("active"),
        pg_sys::BackendState::STATE_IDLEINTRANSACTION => Some("idle in transaction"),
        pg_sys::BackendState::STATE_IDLEINTRANSACTION_ABORTED => Some("idle in transaction (aborted)"),
        pg_sys::BackendState::STATE_FASTPATH => Some("fastpath function call"),
        pg_sys::BackendState::STATE_DISABLED => Some("disabled"),
        _ => None,
    }
}
