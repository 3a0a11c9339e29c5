//! `complete_step` and `complete_steps`: one call where nothing is special about the reports, which is nearly always.

use pgrx::fcinfo::{pg_getarg, pg_getarg_datum};
use pgrx::pg_sys::{Datum, FunctionCallInfo};
use pgrx::prelude::*;

use super::at_once::{Delivered, MOST_RESULTS, deliver, may_advance};
use super::caller::has_right_everywhere;
use super::clock::clock;
use super::queue::{self, RESULTS};
use super::result_set::ResultSet;
use super::spi::{as_next_statement, guarded, run_for_caller, sql_function};
use super::steps::KEY;
use super::table::{Column, Writer};
use super::values::{Elements, value};
use crate::guc;
use crate::workflow::jsonb;
use crate::workflow::message::result::step_result;

sql_function!(tasker_complete_step, pg_finfo_tasker_complete_step, complete_step);
sql_function!(tasker_complete_steps, pg_finfo_tasker_complete_steps, complete_steps);

unsafe fn complete_step(fcinfo: FunctionCallInfo) -> Datum {
    // SAFETY: the function is declared with these types.
    unsafe {
        if guarded(|| as_next_statement(|| complete(fcinfo))) != Some(Outcome::Queued) {
            let types = [pg_sys::INT8OID, pg_sys::INT4OID, pg_sys::JSONBOID, pg_sys::JSONBOID, pg_sys::INT8OID];
            let text = c"select from tasker._report_attempt($1, $2, 'success', $3, null, $4, $5)";
            run_for_caller(text, types, std::array::from_fn(|number| pg_getarg_datum(fcinfo, number)), &mut |[]| ());
        }
        Datum::null()
    }
}

/// Reports a success as _report_attempt does, by the same rules. Not queued, and nothing is done, where the attempt is over or the
/// report asks for more: _report_attempt knows what, and what is wrong.
unsafe fn complete(fcinfo: FunctionCallInfo) -> Option<Outcome> {
    // SAFETY: the arguments are of these types.
    unsafe {
        let (step_id, attempt): (i64, i32) = (pg_getarg(fcinfo, 0)?, pg_getarg(fcinfo, 1)?);
        let (results, took): (_, Option<i64>) = (pg_getarg_datum(fcinfo, 2), pg_getarg(fcinfo, 4));
        // As it is stored, like pg_column_size.
        let bytes = results.map_or(0, |results| pg_sys::toast_datum_size(results));
        if pg_getarg_datum(fcinfo, 3).is_some() || bytes > most_bytes() {
            return None;
        }
        let took = took.map(i32::try_from).transpose().ok()?;
        if took.is_some_and(i32::is_negative) {
            return None;
        }
        report(&[Report { step_id, attempt, results, took }])?.pop()
    }
}

unsafe fn complete_steps(fcinfo: FunctionCallInfo) -> Datum {
    use pg_sys::{BOOLOID, INT8ARRAYOID, JSONBARRAYOID};
    // SAFETY: the function is declared with these types and columns.
    unsafe {
        let delivered = guarded(|| complete_at_once(fcinfo));
        if let Delivered::Settled = delivered {
            return Datum::null();
        }
        let (results, advance) = (guarded(|| queue::array(fcinfo, 0)), pg_getarg_datum(fcinfo, 1));
        let rows = guarded(|| ResultSet::of(fcinfo));
        let show = &mut |columns: [_; 4]| rows.add(columns);
        match delivered {
            Delivered::Settled => {}
            Delivered::QueueOthers(settled) => {
                let text = c"select q.item, q.step_id, q.attempt, q.outcome from tasker._queue_results($1, $2) q";
                run_for_caller(text, [JSONBARRAYOID, INT8ARRAYOID], [results, Some(settled)], show);
            }
            Delivered::WithCare { tried } => {
                let text =
                    c"select c.item, c.step_id, c.attempt, c.outcome from tasker._complete_with_care($1, $2, $3) c";
                let arguments = [results, advance, Some(tried.into())];
                run_for_caller(text, [JSONBARRAYOID, BOOLOID, BOOLOID], arguments, show);
            }
        }
    }
    Datum::null()
}

/// Settled: or queued, and the outcomes have been shown.
unsafe fn complete_at_once(fcinfo: FunctionCallInfo) -> Delivered {
    // SAFETY: see there.
    unsafe {
        let results = value::<Array<&[u8]>>(pg_getarg_datum(fcinfo, 0));
        let results: Vec<Option<&[u8]>> = results.iter().flat_map(Array::iter).collect();
        let advance: Option<bool> = pg_getarg(fcinfo, 1);
        let (Some(advance), 1..=MOST_RESULTS) = (advance, results.len()) else {
            return Delivered::WithCare { tried: false };
        };
        let outcomes = if !advance {
            as_next_statement(|| queue_in_order(&results))
        } else if may_advance(results.len()) {
            match deliver(&results) {
                Delivered::Settled => Some(vec![Outcome::Settled; results.len()]),
                others => return others,
            }
        } else {
            None
        };
        let Some(outcomes) = outcomes else { return Delivered::WithCare { tried: false } };
        let rows = ResultSet::of(fcinfo);
        for ((item, content), outcome) in (1_i32..).zip(results.into_iter().flatten()).zip(outcomes) {
            let says = step_result(content);
            rows.add([Some(Datum::from(item)), says.step_id.into_datum(), says.attempt.into_datum(), outcome.name()]);
        }
        Delivered::Settled
    }
}

/// Reports results that are plain successes. None, and nothing is done, where one is not, or two are of one step.
unsafe fn queue_in_order(results: &[Option<&[u8]>]) -> Option<Vec<Outcome>> {
    let plain = |content: &Option<&[u8]>| {
        let content = content.filter(|content| content.len() + pg_sys::VARHDRSZ <= most_bytes())?;
        let says = step_result(content);
        let (step_id, attempt) =
            says.step_id.zip(says.attempt).filter(|_| says.plain && says.success && says.other_task.is_none())?;
        let results = says.results.map(jsonb::alone).into_datum();
        Some(Report { step_id, attempt, results, took: says.took_ms })
    };
    let reports: Vec<Report> = results.iter().map(plain).collect::<Option<_>>()?;
    let mut places: Vec<usize> = (0..reports.len()).collect();
    // As everybody locks steps.
    places.sort_by_key(|place| reports[*place].step_id);
    let in_order: Vec<Report> = places.iter().map(|place| reports[*place]).collect();
    if in_order.windows(2).any(|pair| pair[0].step_id == pair[1].step_id) {
        return None;
    }
    // SAFETY: in a statement.
    let reported = unsafe { report(&in_order)? };
    let mut outcomes = vec![Outcome::Late; reports.len()];
    places.into_iter().zip(reported).for_each(|(place, outcome)| outcomes[place] = outcome);
    Some(outcomes)
}

/// The most bytes of what is reported with an attempt.
fn most_bytes() -> usize {
    usize::try_from(guc::max_payload_bytes()).unwrap_or_default()
}

/// What became of a report.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Outcome {
    Settled,
    Queued,
    Late,
    Cancelled,
}

impl Outcome {
    fn name(self) -> Option<Datum> {
        match self {
            Outcome::Settled => "settled",
            Outcome::Queued => "queued",
            Outcome::Late => "late",
            Outcome::Cancelled => "cancelled",
        }
        .into_datum()
    }
}

/// That an attempt has succeeded.
#[derive(Clone, Copy)]
struct Report {
    step_id: i64,
    attempt: i32,
    /// A jsonb.
    results: Option<Datum>,
    took: Option<i32>,
}

/// Writes reports to their steps, which come in the order of their ids, and sends messages that point there. None, and nothing is
/// done, where it is not plain how, or that the caller may.
unsafe fn report(reports: &[Report]) -> Option<Vec<Outcome>> {
    // SAFETY: in a statement; the columns are of these types.
    unsafe {
        if pg_sys::XactIsoLevel > pg_sys::XACT_READ_COMMITTED as i32 || !has_right_everywhere("worker") {
            return None;
        }
        let messages: Elements =
            reports.iter().map(|report| Some(report.message()?.into_datum())).collect::<Option<_>>()?;
        let step_ids: Elements = reports.iter().map(|report| report.step_id.into_datum()).collect();
        let mut cancelled = vec![false; reports.len()];
        let columns = [c"attempts", c"state", c"reported_at"];
        let written = Writer::open(c"steps")
            .set(c"reported_at", Column::one(clock().into_datum()))
            .set(c"reported_status", Column::text("success"))
            .set(c"results", Column::Each(reports.iter().map(|report| report.results).collect()))
            .update_where(KEY, &step_ids, columns, |place, [attempts, state, reported_at]| {
                let is_of_attempt = value(attempts) == Some(reports[place].attempt);
                let state = value::<&[u8]>(state);
                cancelled[place] = is_of_attempt && state == Some(b"cancelled");
                is_of_attempt && matches!(state, Some(b"enqueued" | b"in_progress")) && reported_at.is_none()
            })?;
        let outcome = |(written, cancelled): (&bool, bool)| match (written, cancelled) {
            (true, _) => Outcome::Queued,
            (false, true) => Outcome::Cancelled,
            (false, false) => Outcome::Late,
        };
        let outcomes = written.iter().zip(cancelled).map(outcome).collect();
        let messages: Elements =
            messages.into_iter().zip(written).filter_map(|(message, written)| written.then_some(message)).collect();
        if !messages.is_empty() {
            queue::send(RESULTS, messages);
        }
        Some(outcomes)
    }
}

impl Report {
    /// Says that a success stands in the step's row.
    fn message(&self) -> Option<Vec<u8>> {
        let keys = ["status", "attempt", "step_id", "reported", "execution_time_ms"];
        let count = if self.took.is_some() { 5 } else { 4 };
        let message = jsonb::object(128, &keys[..count], |children| {
            children.string(b"success");
            children.number(self.attempt.into());
            children.number(self.step_id);
            children.yes();
            self.took.into_iter().for_each(|took| children.number(took.into()));
        });
        message.ok()
    }
}
