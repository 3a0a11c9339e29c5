//! What workers call for steps: `poll_steps` and `exchange_steps`.

use pgrx::datum::Interval;
use pgrx::fcinfo::pg_getarg_datum;
use pgrx::pg_sys::{Datum, FunctionCallInfo};
use pgrx::prelude::*;
use pgrx::{Array, direct_function_call};

use super::at_once::{Delivered, deliver, may_advance};
use super::caller::has_right;
use super::clock::{clock, wall_micros};
use super::delivery::{Taken, take};
use super::look::{Names, sweep_due};
use super::queue;
use super::rare::find_namespace;
use super::result_set::ResultSet;
use super::spi::{as_next_statement, guarded, run_for_caller, sql_function};
use super::values::value;
use super::wake::{_generation, _wait_for_wake};

/// The longest wait, in microseconds.
const LONGEST_WAIT: i64 = 10_000_000;

/// Where the two functions have namespace, qty, lease and worker_id among their arguments.
const POLL: [usize; 4] = [0, 1, 2, 4];
const EXCHANGE: [usize; 4] = [0, 2, 3, 5];

sql_function!(tasker_poll_steps, pg_finfo_tasker_poll_steps, poll_steps);
sql_function!(tasker_exchange_steps, pg_finfo_tasker_exchange_steps, exchange_steps);

unsafe fn poll_steps(fcinfo: FunctionCallInfo) -> Datum {
    // SAFETY: the function is declared with these types.
    unsafe {
        let ask = Ask::of(fcinfo, POLL);
        let mut id = guarded(|| ask.plain_namespace()).unwrap_or_default();
        if id == 0 {
            let types = [pg_sys::TEXTOID, pg_sys::INT4OID, pg_sys::INTERVALOID, pg_sys::TEXTOID];
            let arguments = [ask.namespace, ask.qty, ask.lease, ask.worker_id];
            let text = c"select tasker._check_poll($1, $2, $3, $4)";
            let mut show = |[checked]: [Option<Datum>; 1]| id = checked.map_or(0, |id| id.value() as i64);
            run_for_caller(text, types, arguments, &mut show);
        }
        guarded(|| show(fcinfo, ask.poll(id, stop_at(pg_getarg_datum(fcinfo, 3)), &Names::of(fcinfo, 5))));
    }
    Datum::null()
}

unsafe fn exchange_steps(fcinfo: FunctionCallInfo) -> Datum {
    // SAFETY: the function is declared with these types.
    unsafe {
        match guarded(|| exchange_at_once(fcinfo)) {
            Delivered::Settled => {}
            Delivered::QueueOthers(settled) => {
                let types = [pg_sys::JSONBARRAYOID, pg_sys::INT8ARRAYOID];
                let text = c"select from tasker._queue_results($1, $2)";
                run_for_caller(text, types, [guarded(|| queue::array(fcinfo, 1)), Some(settled)], &mut |[]| ());
                guarded(|| show(fcinfo, Ask::of(fcinfo, EXCHANGE).take(&Names::ALL)));
            }
            Delivered::WithCare { tried } => exchange_with_care(fcinfo, tried),
        }
    }
    Datum::null()
}

/// Settled: and steps have been taken.
unsafe fn exchange_at_once(fcinfo: FunctionCallInfo) -> Delivered {
    // SAFETY: see there.
    unsafe {
        let ask = Ask::of(fcinfo, EXCHANGE);
        let results = value::<Array<&[u8]>>(pg_getarg_datum(fcinfo, 1));
        let results: Vec<Option<&[u8]>> = results.iter().flat_map(Array::iter).collect();
        let Some(namespace_id) = ask.plain_namespace().filter(|_| may_advance(results.len())) else {
            return Delivered::WithCare { tried: false };
        };
        if results.is_empty() {
            let stop_at = stop_at(pg_getarg_datum(fcinfo, 4));
            show(fcinfo, ask.poll(namespace_id, stop_at, &Names::ALL));
            return Delivered::Settled;
        }
        if queue::table(&ask.queue_name()).is_none() {
            return Delivered::WithCare { tried: false };
        }
        let delivered = deliver(&results);
        if matches!(delivered, Delivered::Settled) {
            show(fcinfo, ask.take(&Names::ALL));
        }
        delivered
    }
}

unsafe fn exchange_with_care(fcinfo: FunctionCallInfo, tried: bool) {
    use pg_sys::{BOOLOID, INT4OID, INTERVALOID, JSONBARRAYOID, TEXTOID};
    let types = [TEXTOID, JSONBARRAYOID, INT4OID, INTERVALOID, INTERVALOID, TEXTOID, BOOLOID];
    let text = c"select e.msg_id, e.step_id, e.task_id, e.attempt, e.message from tasker._exchange_with_care($1, $2, $3, $4, $5, $6, $7) e";
    // SAFETY: the arguments are of these types, and so are the columns.
    unsafe {
        let arguments = std::array::from_fn(|number| match number {
            1 => guarded(|| queue::array(fcinfo, 1)),
            6 => Some(tried.into()),
            _ => pg_getarg_datum(fcinfo, number),
        });
        let rows = guarded(|| ResultSet::of(fcinfo));
        run_for_caller(text, types, arguments, &mut |columns: [_; 5]| rows.add(columns));
    }
}

/// When to stop waiting, in microseconds of the server's epoch, by the time of day. NULL is the longest wait.
unsafe fn stop_at(max_wait: Option<Datum>) -> i64 {
    let now = wall_micros();
    // SAFETY: it is an interval.
    let given = unsafe { value::<Interval>(max_wait) };
    match given.map(|wait| (wait.months(), wait.days(), wait.micros())) {
        None => now + LONGEST_WAIT,
        // Nearly always.
        Some((0, 0, micros)) => now.saturating_add(micros.min(LONGEST_WAIT)),
        // SAFETY: arguments of these types.
        Some(_) => unsafe {
            let nearer = |compare: unsafe fn(FunctionCallInfo) -> Datum, wait, micros| {
                pgrx::direct_function_call_as_datum(compare, &[wait, Interval::from_micros(micros).into_datum()])
            };
            let wait = nearer(pg_sys::interval_smaller, max_wait, LONGEST_WAIT);
            let wait = nearer(pg_sys::interval_larger, wait, 0);
            let end = direct_function_call::<i64>(pg_sys::timestamptz_pl_interval, &[now.into_datum(), wait]);
            end.unwrap_or(now)
        },
    }
}

unsafe fn show(fcinfo: FunctionCallInfo, taken: Vec<Taken>) {
    // SAFETY: the functions are declared with these columns.
    unsafe {
        let rows = ResultSet::of(fcinfo);
        taken.into_iter().for_each(|one| rows.add(one.columns()));
    }
}

/// Which steps a worker asks for.
struct Ask {
    /// A text, an integer, an interval, a text: as they were given.
    namespace: Option<Datum>,
    qty: Option<Datum>,
    lease: Option<Datum>,
    worker_id: Option<Datum>,
}

impl Ask {
    unsafe fn of(fcinfo: FunctionCallInfo, arguments: [usize; 4]) -> Ask {
        // SAFETY: the function has so many arguments.
        let [namespace, qty, lease, worker_id] = arguments.map(|number| unsafe { pg_getarg_datum(fcinfo, number) });
        Ask { namespace, qty, lease, worker_id }
    }

    /// The id of the namespace, where it is plain that a worker may ask for that.
    unsafe fn plain_namespace(&self) -> Option<i64> {
        // SAFETY: they are of these types.
        unsafe {
            let parts = |lease: Interval| [lease.months().into(), lease.days().into(), lease.micros()];
            let is_positive = |parts: [i64; 3]| parts.iter().all(|part| *part >= 0) && parts != [0; 3];
            let is_plain = value(self.qty).is_some_and(|qty: i32| (1..=10_000).contains(&qty))
                && value(self.lease).map(parts).is_none_or(is_positive)
                && value::<&[u8]>(self.worker_id).is_none_or(|worker_id| worker_id.len() <= 256)
                && has_right("worker", self.namespace?);
            if is_plain { find_namespace(self.namespace?) } else { None }
        }
    }

    fn queue_name(&self) -> String {
        // SAFETY: it is a text.
        unsafe { value::<&str>(self.namespace) }.map(|name| format!("{name}_queue")).unwrap_or_default()
    }

    /// Waits until there are such steps, or it is time to stop. Above read committed the next look would see what the first saw.
    unsafe fn poll(&self, id: i64, stop_at: i64, names: &Names) -> Vec<Taken> {
        loop {
            // Before looking, so that what is enqueued between the look and the wait ends the wait.
            let generation = _generation(id);
            // SAFETY: in a statement.
            let taken = unsafe { self.take(names) };
            let left = stop_at.saturating_sub(wall_micros());
            let is_last = unsafe { pg_sys::XactIsoLevel } > pg_sys::XACT_READ_COMMITTED as i32;
            if !taken.is_empty() || left <= 0 || is_last {
                return taken;
            }
            let left = i32::try_from((left as u64).div_ceil(1000)).unwrap_or(i32::MAX);
            // What the queue's mark has passed by wakes nobody when it is there at last.
            let sweep = sweep_due(&self.queue_name(), names.filter());
            _wait_for_wake(id, generation, sweep.map_or(left, |sweep| sweep.min(left)));
        }
    }

    unsafe fn take(&self, names: &Names) -> Vec<Taken> {
        // SAFETY: they are of these types; what came of the check says that they are there.
        unsafe {
            let seconds = |lease| direct_function_call::<f64>(pg_sys::interval_part, &["epoch".into_datum(), lease]);
            let lease = self.lease.and_then(|lease| seconds(Some(lease)));
            let qty = value(self.qty).unwrap_or_default();
            as_next_statement(|| take(&self.queue_name(), qty, lease, self.worker_id, clock().into_datum()?, names))
                .unwrap_or_default()
        }
    }
}
