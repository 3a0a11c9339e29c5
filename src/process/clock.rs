//! The settable clock.

use std::ffi::{CStr, CString, c_char, c_void};

use pgrx::datetime::clock_timestamp;
use pgrx::prelude::*;
use pgrx::{GucContext, GucFlags, GucRegistry, GucSetting, direct_function_call};

use crate::guc;

/// The present time: `tasker.fake_now` where the session has one, else the time of day.
///
/// Errors: those of `timestamptz` input, when `tasker.fake_now` holds something else.
#[pg_extern(volatile, parallel_safe)]
pub fn clock() -> TimestampWithTimeZone {
    let fake = guc::fake_now();
    match fake.is_empty() {
        true => clock_timestamp(),
        false => CString::new(fake).ok().and_then(|fake| parse(&fake)).unwrap_or_else(clock_timestamp),
    }
}

/// The present time in microseconds of the server's epoch, by the settable clock.
pub fn micros() -> i64 {
    clock().into()
}

/// The time of day in microseconds of the server's epoch, whatever the settable clock says.
pub fn wall_micros() -> i64 {
    // SAFETY: reads the system clock.
    unsafe { pg_sys::GetCurrentTimestamp() }
}

/// Defines `tasker.fake_now`, which only a superuser can set.
pub fn define_fake_now(setting: &'static GucSetting<Option<CString>>) {
    // SAFETY: the hook is guarded.
    unsafe {
        GucRegistry::define_string_guc_with_hooks(
            c"tasker.fake_now",
            c"Sets what this session takes for the present time.",
            c"Any text that timestamptz accepts; empty means the time of day. For tests.",
            setting,
            GucContext::Suset,
            GucFlags::default(),
            Some(check_fake_now),
            None,
            None,
        );
    }
}

/// Refuses what is no time when someone sets it. What a configuration file says is read before the time zone is known,
/// so that is checked when it is used.
#[pg_guard]
unsafe extern "C-unwind" fn check_fake_now(
    value: *mut *mut c_char,
    _extra: *mut *mut c_void,
    source: pg_sys::GucSource::Type,
) -> bool {
    // SAFETY: the server passes a C string or NULL.
    unsafe {
        let interactive = source >= pg_sys::GucSource::PGC_S_INTERACTIVE && pg_sys::IsTransactionState();
        if interactive && !(*value).is_null() && **value != 0 {
            parse(CStr::from_ptr(*value));
        }
    }
    true
}

/// Raises the error of the input function where `text` is no time.
fn parse(text: &CStr) -> Option<TimestampWithTimeZone> {
    let arguments = [Some(pg_sys::Datum::from(text.as_ptr())), pg_sys::InvalidOid.into_datum(), (-1i32).into_datum()];
    // SAFETY: the arguments are those of an input function: text, type, modifier.
    unsafe { direct_function_call(pg_sys::timestamptz_in, &arguments) }
}
