//! The same writes by the executor.

use std::ffi::{CStr, c_char};
use std::ptr::null_mut;

use pgrx::fcinfo::pg_getarg_datum;
use pgrx::pg_sys::{Datum, FunctionCallInfo};
use pgrx::prelude::*;

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
    let mut returned = None;
    // SAFETY: the statement copies what it takes, and an error undoes the connection with the (sub)transaction.
    unsafe {
        let (mut types, mut count) = (null_mut(), 0);
        pg_sys::get_func_signature((*(*fcinfo).flinfo).fn_oid, &raw mut types, &raw mut count);
        let arguments: Vec<_> = (0..count as usize).map(|argument| pg_getarg_datum(fcinfo, argument)).collect();
        let mut values: Vec<Datum> = arguments.iter().map(|argument| argument.unwrap_or(Datum::null())).collect();
        let nulls: Vec<c_char> =
            arguments.iter().map(|argument| if argument.is_some() { b' ' } else { b'n' } as c_char).collect();
        pg_sys::SPI_connect();
        let (text, values, nulls) = (statement.as_ptr(), values.as_mut_ptr(), nulls.as_ptr());
        let status = pg_sys::SPI_execute_with_args(text, count, types, values, nulls, false, 0);
        if status < 0 {
            error!("the statement that the executor should do: {status}");
        }
        if let Some(found) = pg_sys::SPI_tuptable.as_ref()
            && found.numvals > 0
        {
            let mut is_null = false;
            let value = pg_sys::SPI_getbinval(*found.vals, found.tupdesc, 1, &raw mut is_null);
            returned = (!is_null).then(|| pg_sys::SPI_datumTransfer(value, false, -1));
        }
        pg_sys::SPI_finish();
    }
    returned
}
