//! Which cluster and which library this is.

use pgrx::prelude::*;

use super::session;
use super::table::index::{End, at_end};
use super::values::value;

/// The system identifier that `initdb` gave the cluster: a standby shares it, a restored dump does not.
#[pg_extern(stable, parallel_safe)]
fn _system_identifier() -> i64 {
    // SAFETY: reads the server's copy of the control file, which exists since start-up.
    unsafe { pg_sys::GetSystemIdentifier() }.cast_signed()
}

/// Whether this engine belongs to this cluster and database. NULL: it belongs to none yet (no namespace was created).
#[pg_extern(stable, parallel_safe)]
pub fn _identity_is_ours() -> Option<bool> {
    // SAFETY: in a statement, and the columns are of these types.
    unsafe {
        let [cluster, database] = at_end(
            End::Last,
            (c"tasker", c"identity"),
            c"identity_pkey",
            &[],
            [c"system_identifier", c"database_oid"],
        )?;
        Some(value::<i64>(cluster)? == _system_identifier() && value::<pg_sys::Oid>(database)? == session::database())
    }
}

/// The database of this session.
#[pg_extern(stable, parallel_safe)]
fn _database_oid() -> pg_sys::Oid {
    session::database()
}

/// The version of the library that is loaded, which after an update of the package is the old one until a restart.
#[pg_extern(immutable, parallel_safe)]
fn _library_version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}
