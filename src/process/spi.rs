//! Statements of our own: run through SPI, or begun as the server begins one.

use std::ffi::{CStr, c_char, c_int, c_long};
use std::panic::Location;

use pgrx::pg_sys::{Datum, Oid};
use pgrx::prelude::*;

/// What the next statement would see: all that has been written in this transaction, and what others have committed by now.
///
/// # Safety
/// In a statement.
#[track_caller]
pub unsafe fn as_next_statement<T>(body: impl FnOnce() -> T) -> T {
    // SAFETY: an error in the body undoes the snapshot with the (sub)transaction.
    unsafe {
        plugin::before_statement(Location::caller());
        pg_sys::CommandCounterIncrement();
        pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
        let done = body();
        pg_sys::PopActiveSnapshot();
        done
    }
}

/// What another library may do before each of these, as a plugin of PL/pgSQL does before its statements: the tests let them fail
/// (`tests/fault_points`).
mod plugin {
    use std::cell::OnceCell;
    use std::ffi::c_void;

    use super::*;

    /// The caller's line, and where the name of his file lies, which no zero byte ends: it tells one from another.
    type Before = unsafe extern "C-unwind" fn(file: *const c_char, line: c_int);

    thread_local! {
        static PLACE: OnceCell<*mut *mut c_void> = const { OnceCell::new() };
    }

    pub unsafe fn before_statement(caller: &'static Location<'static>) {
        // SAFETY: the server has such a place for whoever asks for it by name; what is put there is a function of this type.
        unsafe {
            let place = PLACE.with(|place| {
                *place.get_or_init(|| pg_sys::find_rendezvous_variable(c"tasker_pg_before_statement".as_ptr()))
            });
            if !(*place).is_null() {
                let before: Before = std::mem::transmute(*place);
                pg_sys::ffi::pg_guard_ffi_boundary(|| before(caller.file().as_ptr().cast(), caller.line() as c_int));
            }
        }
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
            let mut values = columns(table, row);
            for (column, (length, by_value)) in values.iter_mut().zip(kinds) {
                *column = column.map(|value| pg_sys::SPI_datumTransfer(value, by_value, length.into()));
            }
            values
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

/// Runs a statement that is too rare to be kept.
///
/// # Safety
/// The arguments are of these types, and it returns so many columns.
pub unsafe fn run<const N: usize, const P: usize>(
    text: &CStr,
    mut types: [Oid; P],
    arguments: [Option<Datum>; P],
) -> Vec<[Option<Datum>; N]> {
    // SAFETY: see above.
    unsafe {
        rows(&arguments, |values, nulls| {
            pg_sys::SPI_execute_with_args(text.as_ptr(), P as i32, types.as_mut_ptr(), values, nulls, false, 0)
        })
    }
}

mod unguarded {
    use super::*;

    unsafe extern "C-unwind" {
        /// The server's, whose errors jump past whoever calls it to where the server catches them.
        pub fn SPI_execute_with_args(
            text: *const c_char,
            count: c_int,
            types: *mut Oid,
            values: *mut Datum,
            nulls: *const c_char,
            read_only: bool,
            most: c_long,
        ) -> c_int;
    }
}

/// Runs a statement for whoever has called a function of `sql_function!`: errors are his, and pass as they are raised. Shows each
/// row that is returned, until the next one.
///
/// # Safety
/// The arguments are of these types, the statement returns so many columns, and nothing on the stack below that function has to
/// be dropped.
pub unsafe fn run_for_caller<const N: usize, const P: usize>(
    text: &CStr,
    mut types: [Oid; P],
    arguments: [Option<Datum>; P],
    show: &mut dyn FnMut([Option<Datum>; N]),
) {
    let mut values = arguments.map(|argument| argument.unwrap_or(Datum::null()));
    let nulls = arguments.map(|argument| if argument.is_some() { b' ' } else { b'n' } as c_char);
    // SAFETY: see above.
    unsafe {
        guarded(|| pg_sys::SPI_connect());
        let (types, values) = (types.as_mut_ptr(), values.as_mut_ptr());
        unguarded::SPI_execute_with_args(text.as_ptr(), P as c_int, types, values, nulls.as_ptr(), false, 0);
        guarded(|| {
            if let Some(table) = pg_sys::SPI_tuptable.as_ref() {
                for row in 0..table.numvals as usize {
                    show(columns(table, row));
                }
            }
            pg_sys::SPI_finish();
        });
    }
}

/// Runs what may panic in a function of `sql_function!`: the server gets an error then, as `#[pg_guard]` does it.
///
/// # Safety
/// Nothing on the stack below that function has to be dropped.
pub unsafe fn guarded<T>(body: impl FnOnce() -> T) -> T {
    // SAFETY: what the attribute expands to.
    unsafe { pg_sys::submodules::panic::pgrx_extern_c_guard(body) }
}

unsafe fn columns<const N: usize>(table: &pg_sys::SPITupleTable, row: usize) -> [Option<Datum>; N] {
    let mut columns = [None; N];
    for (number, column) in (1..).zip(&mut columns) {
        let mut is_null = false;
        // SAFETY: the table has so many columns and rows.
        let value = unsafe { pg_sys::SPI_getbinval(*table.vals.add(row), table.tupdesc, number, &raw mut is_null) };
        *column = (!is_null).then_some(value);
    }
    columns
}

/// A function for SQL whose long way is a statement. pgrx would take the errors of that for its own on their way, and lose their
/// SQLSTATEs where it does not know them (TK001). So nothing guards this function; what may panic is guarded within.
macro_rules! sql_function {
    ($name:ident, $about:ident, $body:path) => {
        #[doc(hidden)]
        #[unsafe(no_mangle)]
        pub extern "C-unwind" fn $about() -> &'static pgrx::pg_sys::Pg_finfo_record {
            const VERSION: pgrx::pg_sys::Pg_finfo_record = pgrx::pg_sys::Pg_finfo_record { api_version: 1 };
            &VERSION
        }

        #[doc(hidden)]
        #[unsafe(no_mangle)]
        pub unsafe extern "C-unwind" fn $name(fcinfo: pgrx::pg_sys::FunctionCallInfo) -> pgrx::pg_sys::Datum {
            // SAFETY: called by the server, as the function is declared.
            unsafe { $body(fcinfo) }
        }
    };
}
pub(super) use sql_function;
