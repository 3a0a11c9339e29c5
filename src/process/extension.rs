//! DROP EXTENSION and ALTER EXTENSION ... UPDATE need tables, views and queues for themselves alone. Whoever works takes
//! them in an order of its own, so a deadlock would end one or the other.

use std::ffi::{CStr, c_char};

use pgrx::PgList;
use pgrx::pg_sys::panic::ErrorReportable;
use pgrx::prelude::*;

use super::{EXTENSION, session};

/// What an update begins with, too.
const LOCK: &str = include_str!("../../sql/updates/lock.sql");
/// Drops us as well, with CASCADE.
const NEEDED: &CStr = c"pgmq";

/// What a statement does to the extension.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Change {
    Drop,
    Update,
}

/// What a statement is about to do to the extension of this database, where there is one and it is the caller's.
///
/// # Safety
/// `statement` is a parse node.
pub unsafe fn change(statement: &pg_sys::Node) -> Option<Change> {
    let node: *const pg_sys::Node = statement;
    // SAFETY: a node can be seen as what its tag says.
    let change = unsafe {
        match statement.type_ {
            pg_sys::NodeTag::T_DropStmt => drops_us(&*node.cast()).then_some(Change::Drop),
            pg_sys::NodeTag::T_AlterExtensionStmt => updates_us(&*node.cast()).then_some(Change::Update),
            _ => None,
        }
    }?;
    is_callers().then_some(change)
}

/// Locks all that is needed, stepping back as often as there is a deadlock. Only a superuser may do it in this way; for
/// others the statement itself locks.
pub fn lock() {
    // SAFETY: looks at who is calling.
    if unsafe { pg_sys::superuser() } {
        session::with_setting(c"search_path", c"pg_catalog, pg_temp", || Spi::run(LOCK)).unwrap_or_report();
    }
}

/// # Safety
/// A parse node.
unsafe fn drops_us(statement: &pg_sys::DropStmt) -> bool {
    if statement.removeType != pg_sys::ObjectType::OBJECT_EXTENSION {
        return false;
    }
    let cascades = statement.behavior == pg_sys::DropBehavior::DROP_CASCADE;
    // SAFETY: the names of extensions are a list of strings.
    let names = unsafe { PgList::<pg_sys::String>::from_pg(statement.objects) };
    names.iter_ptr().any(|name| {
        // SAFETY: see above.
        let name = unsafe { (*name).sval };
        // SAFETY: a string of a parse tree.
        unsafe { is(name, EXTENSION) || cascades && is(name, NEEDED) }
    })
}

/// # Safety
/// A parse node.
unsafe fn updates_us(statement: &pg_sys::AlterExtensionStmt) -> bool {
    // SAFETY: see above.
    unsafe { is(statement.extname, EXTENSION) }
}

/// # Safety
/// A C string or NULL.
unsafe fn is(name: *const c_char, expected: &CStr) -> bool {
    // SAFETY: see above.
    !name.is_null() && unsafe { CStr::from_ptr(name) } == expected
}

fn is_callers() -> bool {
    // SAFETY: reads catalogs, in a transaction as every utility statement.
    unsafe {
        let extension = pg_sys::get_extension_oid(EXTENSION.as_ptr(), true);
        extension != pg_sys::InvalidOid && is_owned(extension)
    }
}

#[cfg(feature = "pg15")]
unsafe fn is_owned(extension: pg_sys::Oid) -> bool {
    // SAFETY: reads catalogs.
    unsafe { pg_sys::pg_extension_ownercheck(extension, pg_sys::GetUserId()) }
}

#[cfg(not(feature = "pg15"))]
unsafe fn is_owned(extension: pg_sys::Oid) -> bool {
    // SAFETY: reads catalogs.
    unsafe { pg_sys::object_ownercheck(pg_sys::ExtensionRelationId, extension, pg_sys::GetUserId()) }
}
