//! `complete_step`: one call where nothing is special about the report, which is nearly always.

use pgrx::fcinfo::{pg_getarg, pg_getarg_datum};
use pgrx::pg_sys::{Datum, FunctionCallInfo};
use pgrx::prelude::*;

use super::caller::has_right_everywhere;
use super::clock::clock;
use super::queue::{self, RESULTS};
use super::spi::{as_next_statement, guarded, run_for_caller, sql_function};
use super::steps::KEY;
use super::table::{Column, Writer};
use super::values::value;
use crate::guc;
use crate::workflow::jsonb;

sql_function!(tasker_complete_step, pg_finfo_tasker_complete_step, complete_step);

unsafe fn complete_step(fcinfo: FunctionCallInfo) -> Datum {
    // SAFETY: the function is declared with these types.
    unsafe {
        if guarded(|| as_next_statement(|| complete(fcinfo))) != Some(true) {
            let types = [pg_sys::INT8OID, pg_sys::INT4OID, pg_sys::JSONBOID, pg_sys::JSONBOID, pg_sys::INT8OID];
            let text = c"select from tasker._report_attempt($1, $2, 'success', $3, null, $4, $5)";
            run_for_caller(text, types, std::array::from_fn(|number| pg_getarg_datum(fcinfo, number)), &mut |[]| ());
        }
        Datum::null()
    }
}

/// Reports a success as _report_attempt does, by the same rules: writes it to the step, and sends the message that points
/// there. Not true, and nothing is done, where the attempt is over or the report asks for more: _report_attempt knows what, and
/// what is wrong.
unsafe fn complete(fcinfo: FunctionCallInfo) -> Option<bool> {
    // SAFETY: the arguments are of these types, and so are the columns.
    unsafe {
        let (step_id, attempt): (i64, i32) = (pg_getarg(fcinfo, 0)?, pg_getarg(fcinfo, 1)?);
        let (results, took): (_, Option<i64>) = (pg_getarg_datum(fcinfo, 2), pg_getarg(fcinfo, 4));
        // As it is stored, like pg_column_size.
        let bytes = results.map_or(0, |results| pg_sys::toast_datum_size(results));
        if pg_getarg_datum(fcinfo, 3).is_some()
            || took.is_some_and(|took| !(0..=i64::from(i32::MAX)).contains(&took))
            || bytes > usize::try_from(guc::max_payload_bytes()).unwrap_or_default()
            || pg_sys::XactIsoLevel > pg_sys::XACT_READ_COMMITTED as i32
            || !has_right_everywhere("worker")
        {
            return None;
        }
        let message = message(step_id, attempt, took)?;
        let written = Writer::open(c"steps")
            .set(c"reported_at", Column::one(clock().into_datum()))
            .set(c"reported_status", Column::text("success"))
            .set(c"results", Column::one(results))
            .update_where(KEY, step_id, [c"attempts", c"state", c"reported_at"], |[attempts, state, reported_at]| {
                value(attempts) == Some(attempt)
                    && matches!(value::<&[u8]>(state), Some(b"enqueued" | b"in_progress"))
                    && reported_at.is_none()
            })?;
        if written {
            queue::send(RESULTS, vec![message.into_datum()]);
        }
        Some(written)
    }
}

/// The message that says that a success stands in the step's row.
fn message(step_id: i64, attempt: i32, took: Option<i64>) -> Option<Vec<u8>> {
    let keys = ["status", "attempt", "step_id", "reported", "execution_time_ms"];
    let count = if took.is_some() { 5 } else { 4 };
    let message = jsonb::object(128, &keys[..count], |children| {
        children.string(b"success");
        children.number(attempt.into());
        children.number(step_id);
        children.yes();
        took.into_iter().for_each(|took| children.number(took));
    });
    message.ok()
}
