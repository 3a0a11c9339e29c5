//! The same writes by the executor.

use std::ffi::CStr;
use std::ptr::null_mut;

use pgrx::fcinfo::pg_getarg_datum;
use pgrx::pg_sys::{Datum, FunctionCallInfo};
use pgrx::prelude::*;

use crate::process::spi::first_row;

/// Has the executor write what `past` it could not be written, by a statement whose parameters are the arguments of the
/// calling function. Says whether it has gone past it.
///
/// # Safety
/// The function is called by SQL.
pub unsafe fn or_by_executor(past: bool, fcinfo: FunctionCallInfo, statement: &CStr) -> bool {
    if !past {
        // SAFETY: see above.
        unsafe { by_executor(fcinfo, statement) };
    }
    past
}

/// The first column of the first row that such a statement returns.
///
/// # Safety
/// As there.
pub unsafe fn by_executor(fcinfo: FunctionCallInfo, statement: &CStr) -> Option<Datum> {
    // SAFETY: see above; the statement copies what it takes.
    unsafe {
        let (mut types, mut count) = (null_mut(), 0);
        pg_sys::get_func_signature((*(*fcinfo).flinfo).fn_oid, &raw mut types, &raw mut count);
        let arguments: Vec<_> = (0..count as usize).map(|argument| pg_getarg_datum(fcinfo, argument)).collect();
        let [returned] = first_row(&arguments, |values, nulls| {
            pg_sys::SPI_execute_with_args(statement.as_ptr(), count, types, values, nulls, false, 0)
        });
        returned
    }
}
