//! What the background processes write to the server log, and the failures of their transactions.

use std::cell::RefCell;
use std::ffi::{CStr, c_char, c_void};

use pgrx::pg_sys::elog::PgLogLevel;
use pgrx::pg_sys::panic::{CaughtError, ErrorReport, ErrorReportWithLevel};
use pgrx::prelude::*;

/// Writes a message to the server log.
pub fn log(message: String, hint: &str) {
    report(PgLogLevel::LOG, message, String::new(), hint.to_string());
}

/// Writes a warning to the server log.
pub fn warn(message: String, detail: String, hint: String) {
    report(PgLogLevel::WARNING, message, detail, hint);
}

fn report(level: PgLogLevel, message: String, detail: String, hint: String) {
    let mut report = ErrorReport::new(PgSqlErrorCode::ERRCODE_SUCCESSFUL_COMPLETION, message, "tasker_pg");
    if !detail.is_empty() {
        report = report.set_detail(detail);
    }
    if !hint.is_empty() {
        report = report.set_hint(hint);
    }
    report.report(level);
}

/// Why a transaction of a background worker was rolled back.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Failure {
    /// Five characters.
    pub sqlstate: String,
    pub message: String,
    pub detail: String,
    pub hint: String,
    /// Where it happened: the call stack of SQL functions, innermost first.
    pub context: String,
}

impl Failure {
    /// What a caught error says, completed by what was noted of it while its context still existed.
    pub fn new(error: &CaughtError, noted: Option<Failure>) -> Failure {
        let report = report_of(error);
        match noted {
            Some(noted) if noted.message == report.message() => noted,
            _ => Failure {
                sqlstate: sqlstate(report.sql_error_code() as i32),
                message: report.message().to_string(),
                detail: report.detail().unwrap_or_default().to_string(),
                hint: report.hint().unwrap_or_default().to_string(),
                context: String::new(),
            },
        }
    }

    /// Whether it is none of the data's.
    pub fn is_of_the_system(&self) -> bool {
        is_state_of_the_system(&self.sqlstate)
    }

    /// Detail and context as one text.
    pub fn explanation(&self) -> String {
        let parts = [format!("SQLSTATE {}", self.sqlstate), self.detail.clone(), self.context.clone()];
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n")
    }
}

fn report_of(error: &CaughtError) -> &ErrorReportWithLevel {
    let (CaughtError::PostgresError(report)
    | CaughtError::ErrorReport(report)
    | CaughtError::RustPanic { ereport: report, .. }) = error;
    report
}

/// What a caught error says.
pub fn message(error: &CaughtError) -> &str {
    report_of(error).message()
}

/// Whether an error is none of the data's.
pub fn is_of_the_system(error: &CaughtError) -> bool {
    is_state_of_the_system(&sqlstate(report_of(error).sql_error_code() as i32))
}

/// See _is_of_the_system, which has the same rule.
fn is_state_of_the_system(state: &str) -> bool {
    ["25", "40", "53", "55", "57", "58", "XX"].iter().any(|class| state.starts_with(class)) || state == "42501"
}

/// Unpacks the server's form of an SQLSTATE: six bits a character, the first in the lowest bits.
fn sqlstate(packed: i32) -> String {
    (0..5).map(|place| char::from(b'0' + ((packed >> (6 * place)) & 0x3f) as u8)).collect()
}

/// Runs `body` and notes what errors raised in it say, with the SQL call stack that pgrx would lose.
pub fn noting_errors<T>(noted: &RefCell<Option<Failure>>, body: impl FnOnce() -> T) -> T {
    // SAFETY: `frame` and `noted` outlive `body`, and the stack is put back before this returns: `body` does not
    // unwind (it catches), and where the server itself jumps, it resets the stack.
    unsafe {
        let mut frame = pg_sys::ErrorContextCallback {
            previous: pg_sys::error_context_stack,
            callback: Some(note_error),
            arg: std::ptr::from_ref(noted).cast_mut().cast(),
        };
        pg_sys::error_context_stack = &raw mut frame;
        let result = body();
        pg_sys::error_context_stack = frame.previous;
        result
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn note_error(noted: *mut c_void) {
    // SAFETY: the server calls this last of all context callbacks while it assembles a message; the message is copied
    // in a context other than the error context, as CopyErrorData asks for.
    unsafe {
        let previous = pg_sys::MemoryContextSwitchTo(pg_sys::TopMemoryContext);
        let error = pg_sys::CopyErrorData();
        if (*error).elevel >= PgLogLevel::ERROR as i32 {
            let noted = &*noted.cast::<RefCell<Option<Failure>>>();
            noted.replace(Some(Failure {
                sqlstate: sqlstate((*error).sqlerrcode),
                message: text((*error).message),
                detail: text((*error).detail),
                hint: text((*error).hint),
                context: text((*error).context),
            }));
        }
        pg_sys::FreeErrorData(error);
        pg_sys::MemoryContextSwitchTo(previous);
    }
}

/// # Safety
/// `text` is NULL or a C string.
unsafe fn text(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: see above.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sqlstates_are_unpacked_as_the_server_packs_them() {
        assert_eq!(sqlstate(PgSqlErrorCode::ERRCODE_DIVISION_BY_ZERO as i32), "22012");
        assert_eq!(sqlstate(PgSqlErrorCode::ERRCODE_LOCK_NOT_AVAILABLE as i32), "55P03");
    }

    #[test]
    fn an_explanation_leaves_out_what_is_missing() {
        let failure = Failure { sqlstate: "22012".into(), context: "line 3".into(), ..Failure::default() };
        assert_eq!(failure.explanation(), "SQLSTATE 22012\nline 3");
    }
}
