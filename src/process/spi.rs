//! Statements of our own, run through SPI.

use std::ffi::{c_char, c_int};

use pgrx::pg_sys::Datum;
use pgrx::prelude::*;

/// Runs a statement by one of SPI's functions, which gets the values of its parameters and which of them are null, and hands
/// the first row that it returns to the caller's memory.
///
/// # Safety
/// The arguments are of the statement's types, and it returns so many columns, or no row.
pub unsafe fn first_row<const N: usize>(
    arguments: &[Option<Datum>],
    execute: impl FnOnce(*mut Datum, *const c_char) -> c_int,
) -> [Option<Datum>; N] {
    let mut values: Vec<Datum> = arguments.iter().map(|argument| argument.unwrap_or(Datum::null())).collect();
    let nulls: Vec<c_char> =
        arguments.iter().map(|argument| if argument.is_some() { b' ' } else { b'n' } as c_char).collect();
    let mut columns = [None; N];
    // SAFETY: an error in here undoes the connection with the (sub)transaction. What is read is transferred to the
    // caller's memory before the connection ends.
    unsafe {
        pg_sys::SPI_connect();
        let status = execute(values.as_mut_ptr(), nulls.as_ptr());
        if status < 0 {
            error!("a statement of tasker_pg cannot be run: {status}");
        }
        if let Some(found) = pg_sys::SPI_tuptable.as_ref()
            && found.numvals > 0
        {
            for (number, column) in (1..).zip(&mut columns) {
                let mut is_null = false;
                let value = pg_sys::SPI_getbinval(*found.vals, found.tupdesc, number, &raw mut is_null);
                *column = (!is_null).then(|| pg_sys::SPI_datumTransfer(value, false, -1));
            }
        }
        pg_sys::SPI_finish();
    }
    columns
}
