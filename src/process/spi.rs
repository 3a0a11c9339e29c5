//! Statements of our own: run through SPI, or begun as the server begins one.

use std::ffi::{c_char, c_int};

use pgrx::pg_sys::Datum;
use pgrx::prelude::*;

/// What the next statement would see: all that has been written in this transaction, and what others have committed by now.
///
/// # Safety
/// In a statement.
pub unsafe fn as_next_statement<T>(body: impl FnOnce() -> T) -> T {
    // SAFETY: an error in the body undoes the snapshot with the (sub)transaction.
    unsafe {
        pg_sys::CommandCounterIncrement();
        pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
        let done = body();
        pg_sys::PopActiveSnapshot();
        done
    }
}

/// Runs a statement by one of SPI's functions, which gets the values of its parameters and which of them are null, and hands
/// the rows that it returns to the caller's memory.
///
/// # Safety
/// The arguments are of the statement's types, and it returns so many columns, or no row.
pub unsafe fn rows<const N: usize>(
    arguments: &[Option<Datum>],
    execute: impl FnOnce(*mut Datum, *const c_char) -> c_int,
) -> Vec<[Option<Datum>; N]> {
    let mut values: Vec<Datum> = arguments.iter().map(|argument| argument.unwrap_or(Datum::null())).collect();
    let nulls: Vec<c_char> =
        arguments.iter().map(|argument| if argument.is_some() { b' ' } else { b'n' } as c_char).collect();
    // SAFETY: an error in here undoes the connection with the (sub)transaction. What is read is transferred to the
    // caller's memory before the connection ends.
    unsafe {
        pg_sys::SPI_connect();
        let status = execute(values.as_mut_ptr(), nulls.as_ptr());
        if status < 0 {
            error!("a statement of tasker_pg cannot be run: {status}");
        }
        let returned = pg_sys::SPI_tuptable.as_ref().map(|table| transferred(table)).unwrap_or_default();
        pg_sys::SPI_finish();
        returned
    }
}

unsafe fn transferred<const N: usize>(table: &pg_sys::SPITupleTable) -> Vec<[Option<Datum>; N]> {
    // SAFETY: the table has such columns, and the caller's memory is that of the connection.
    unsafe {
        let mut kinds = [(0, false); N];
        for (number, (length, by_value)) in (1..).zip(&mut kinds) {
            pg_sys::get_typlenbyval(pg_sys::SPI_gettypeid(table.tupdesc, number), length, by_value);
        }
        let row = |row: usize| {
            let mut columns = [None; N];
            for ((number, column), (length, by_value)) in (1..).zip(&mut columns).zip(kinds) {
                let mut is_null = false;
                let value = pg_sys::SPI_getbinval(*table.vals.add(row), table.tupdesc, number, &raw mut is_null);
                *column = (!is_null).then(|| pg_sys::SPI_datumTransfer(value, by_value, length.into()));
            }
            columns
        };
        (0..table.numvals as usize).map(row).collect()
    }
}

/// The first of these rows; where there is none, it has no values.
///
/// # Safety
/// As there.
pub unsafe fn first_row<const N: usize>(
    arguments: &[Option<Datum>],
    execute: impl FnOnce(*mut Datum, *const c_char) -> c_int,
) -> [Option<Datum>; N] {
    // SAFETY: see there.
    unsafe { rows(arguments, execute).into_iter().next().unwrap_or([None; N]) }
}
