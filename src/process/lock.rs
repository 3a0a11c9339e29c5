//! Advisory locks that stand for named things of ours, until the transaction ends.

use std::ffi::c_int;

use pgrx::direct_function_call;
use pgrx::pg_sys::{Datum, FunctionCallInfo};
use pgrx::prelude::*;

unsafe extern "C-unwind" {
    /// The server's; it raises no errors.
    fn hash_bytes_extended(bytes: *const u8, length: c_int, seed: u64) -> u64;
}

/// Takes one, where nobody has it.
pub fn try_lock(kind: &str, name: &[u8]) -> bool {
    with(pg_sys::pg_try_advisory_xact_lock_int8, kind, name)
}

/// Takes one that others may have, too, where nobody has it for himself.
pub fn try_share(kind: &str, name: &[u8]) -> bool {
    with(pg_sys::pg_try_advisory_xact_lock_shared_int8, kind, name)
}

fn with(lock: unsafe fn(FunctionCallInfo) -> Datum, kind: &str, name: &[u8]) -> bool {
    let name = [b"tasker.", kind.as_bytes(), b":", name].concat();
    // SAFETY: the bytes are there. What they give is _lock_key(kind, name): hashtextextended of a text that is compared by its bytes.
    unsafe {
        let key = hash_bytes_extended(name.as_ptr(), name.len() as c_int, 0).cast_signed();
        direct_function_call(lock, &[key.into_datum()]).unwrap_or_default()
    }
}
