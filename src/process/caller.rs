//! Who calls. In a SECURITY DEFINER function `current_user` is the function's owner, so SQL cannot tell.

use std::ffi::CString;
use std::iter;

use pgrx::prelude::*;

use super::table::index::{End, Operator, at_end};

/// The role that the session acts as: the one that SET ROLE named, else the one that logged in. No function can change
/// it, and a session can only set roles that it is a member of.
///
/// NULL, nobody, while the server maintains a table or materialized view (ANALYZE, also by autovacuum, REFRESH, REINDEX and
/// the like): functions in an index or a view run for its owner then, and the session is whoever maintains it.
#[pg_extern(stable, parallel_safe)]
fn _caller() -> pg_sys::Oid {
    // SAFETY: both read variables of this process.
    unsafe { if pg_sys::InSecurityRestrictedOperation() { pg_sys::InvalidOid } else { pg_sys::GetOuterUserId() } }
}

/// Whether the caller has none of these rights ('worker', 'requester', ...) for all namespaces: it is a member neither of
/// the role `tasker_<right>` nor of those that may do everything. Asked at every call, so it runs no query.
#[pg_extern(stable, parallel_safe)]
fn _is_limited(rights: pgrx::Array<&str>) -> bool {
    is_limited(_caller(), rights.iter().flatten())
}

fn is_limited<'a>(caller: pg_sys::Oid, rights: impl Iterator<Item = &'a str>) -> bool {
    caller == pg_sys::InvalidOid || !rights.chain(["admin", "owner"]).any(|right| holds(caller, right))
}

/// Whether the caller has a right in all namespaces.
pub fn has_right_everywhere(right: &str) -> bool {
    !is_limited(_caller(), iter::once(right))
}

/// Whether it is plain that the caller has a right in a namespace, a text: for all of them, or granted to just this role.
/// Where it is not plain _check_namespace knows.
///
/// # Safety
/// In a statement; the namespace is a text.
pub unsafe fn has_right(right: &str, namespace: pg_sys::Datum) -> bool {
    if has_right_everywhere(right) {
        return true;
    }
    let grants = (c"tasker", c"namespace_grants");
    // SAFETY: the index is by role, right and namespace: an oid and two texts.
    unsafe {
        right.into_datum().is_some_and(|right| {
            let grant =
                [(Operator::OID_IS, _caller().into()), (Operator::TEXT_IS, right), (Operator::TEXT_IS, namespace)];
            at_end(End::Last, grants, c"namespace_grants_pkey", &grant, []).is_some()
        })
    }
}

fn holds(caller: pg_sys::Oid, right: &str) -> bool {
    let Ok(role) = CString::new(format!("tasker_{right}")) else { return false };
    // SAFETY: look-ups in catalogs, in a transaction; the name outlives them.
    unsafe {
        let role = pg_sys::get_role_oid(role.as_ptr(), true);
        role != pg_sys::InvalidOid && pg_sys::has_privs_of_role(caller, role)
    }
}

/// The name of the session user, as a text.
pub fn session_user() -> Option<pg_sys::Datum> {
    // SAFETY: the name of a role that exists, in memory of the caller's and in the encoding of the database.
    let name = unsafe { pg_sys::cstring_to_text(pg_sys::GetUserNameFromId(pg_sys::GetSessionUserId(), false)) };
    Some(name.into())
}
