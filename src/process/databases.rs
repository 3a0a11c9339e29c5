//! Which databases there are.

use std::ffi::CStr;

use pgrx::prelude::*;

use super::report::Failure;
use super::session;

/// What the server writes where dropping a database was begun and not finished.
const INVALID_DATABASE: i32 = -2;

/// A database that can be connected to.
pub struct Database {
    pub oid: pg_sys::Oid,
    pub name: String,
}

/// Every database that allows connections and is no template. Readable by a process that is connected to none.
pub fn connectable() -> Result<Vec<Database>, Failure> {
    session::transaction(c"looking for databases", scan)
}

fn scan() -> Vec<Database> {
    let mut found = Vec::new();
    // SAFETY: in a transaction, a catalog is scanned as the server itself does it; every tuple is read before the next.
    unsafe {
        let lock = pg_sys::AccessShareLock as pg_sys::LOCKMODE;
        let relation = pg_sys::table_open(pg_sys::DatabaseRelationId, lock);
        let scan = pg_sys::table_beginscan_catalog(relation, 0, std::ptr::null_mut());
        loop {
            let tuple = pg_sys::heap_getnext(scan, pg_sys::ScanDirection::ForwardScanDirection);
            if tuple.is_null() {
                break;
            }
            found.extend(database(&*pg_sys::GETSTRUCT(tuple).cast()));
        }
        pg_sys::heap_endscan(scan);
        pg_sys::table_close(relation, lock);
    }
    found
}

fn database(row: &pg_sys::FormData_pg_database) -> Option<Database> {
    let usable = row.datallowconn && !row.datistemplate && row.datconnlimit != INVALID_DATABASE;
    // SAFETY: a name is NUL-terminated.
    let name = unsafe { CStr::from_ptr(row.datname.data.as_ptr()) };
    usable.then(|| Database { oid: row.oid, name: name.to_string_lossy().into_owned() })
}
