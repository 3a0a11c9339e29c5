//! What others have requested since this transaction's snapshot was taken.

use std::ffi::{CStr, c_int};

use pgrx::prelude::*;

const OPEN: &CStr = c"select from tasker.tasks t where t.context_hash = $1 and t.finished_at is null";

/// Whether a task with this context hash is not over by now, whatever the transaction's own snapshot shows.
#[pg_extern(volatile)]
fn _has_open_task(context_hash: &[u8]) -> bool {
    let Some(hash) = context_hash.into_datum() else { return false };
    let (mut types, mut values) = ([pg_sys::BYTEAOID], [hash]);
    // SAFETY: in a transaction; the query runs with the snapshot that is active, since it is read-only, and everything
    // that is opened here is closed here, or by the abort that an error brings.
    unsafe {
        pg_sys::PushActiveSnapshot(pg_sys::GetLatestSnapshot());
        pg_sys::SPI_connect();
        let (arguments, nulls) = (types.len() as c_int, std::ptr::null());
        pg_sys::SPI_execute_with_args(
            OPEN.as_ptr(),
            arguments,
            types.as_mut_ptr(),
            values.as_mut_ptr(),
            nulls,
            true,
            1,
        );
        let found = pg_sys::SPI_processed > 0;
        pg_sys::SPI_finish();
        pg_sys::PopActiveSnapshot();
        found
    }
}
