//! Statements on the tables of queues. A queue's name is known only when the statement runs, so plpgsql would plan it in
//! every call (some 60 us); here each is planned once a session. The server plans anew by itself what a change of the
//! table has outdated.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::CString;

use pgrx::fcinfo::{pg_getarg, pg_getarg_datum};
use pgrx::pg_sys::{Datum, FunctionCallInfo, Oid, SPIPlanPtr};
use pgrx::prelude::*;
use pgrx::spi::quote_identifier;
use pgrx::{AnyElement, Array};

use super::spi::rows;
use super::values::{self, Elements};

thread_local! {
    /// By queue. Some 20 kB each; sessions use few.
    static PLANS: RefCell<HashMap<String, Plans>> = RefCell::default();
}

type Plans = [Option<Plan>; Statement::COUNT];

#[derive(Clone, Copy)]
struct Plan(SPIPlanPtr);

#[derive(Clone, Copy)]
pub enum Statement {
    /// Locks the first messages: how many, above which id and up to which; of these tasks, of these steps.
    Find {
        of_tasks: bool,
        of_steps: bool,
    },
    Send,
    Remove,
}

const MANY_IDS: Oid = pg_sys::INT8ARRAYOID;
const MANY_MESSAGES: Oid = pg_sys::JSONBARRAYOID;
const MANY_NAMES: Oid = pg_sys::TEXTARRAYOID;

impl Statement {
    const COUNT: usize = 6;

    fn number(self) -> usize {
        match self {
            Statement::Send => 0,
            Statement::Remove => 1,
            Statement::Find { of_tasks, of_steps } => 2 + usize::from(of_tasks) + 2 * usize::from(of_steps),
        }
    }

    fn types(self) -> &'static [Oid] {
        match self {
            Statement::Find { .. } => &[pg_sys::INT8OID, pg_sys::INT8OID, pg_sys::INT8OID, MANY_NAMES, MANY_NAMES],
            Statement::Send => &[MANY_MESSAGES],
            Statement::Remove => &[MANY_IDS],
        }
    }

    fn text(self, queue_name: &str) -> String {
        let table = format!("pgmq.{}", quote_identifier(format!("q_{queue_name}")));
        match self {
            Statement::Find { of_tasks, of_steps } => format!(
                "select q.msg_id, q.message
                 from {table} q
                 where q.vt <= clock_timestamp() and q.msg_id > $2 and q.msg_id <= $3 {} {}
                 order by q.msg_id
                 limit $1
                 for update skip locked",
                if of_tasks { "and q.message ->> 'task_name' = any($4)" } else { "" },
                if of_steps { "and q.message ->> 'step_name' = any($5)" } else { "" },
            ),
            Statement::Send => {
                format!("insert into {table} (vt, message) select clock_timestamp(), unnest($1) returning msg_id")
            }
            Statement::Remove => format!("delete from {table} q where q.msg_id = any($1)"),
        }
    }
}

/// Runs a statement, and hands its rows to the caller's memory.
///
/// # Safety
/// The arguments are of the statement's types, and it returns so many columns.
pub unsafe fn run<const N: usize>(
    queue_name: &str,
    statement: Statement,
    arguments: &[Option<Datum>],
) -> Vec<[Option<Datum>; N]> {
    // SAFETY: see above; the plan is looked for within the connection.
    unsafe {
        rows(arguments, |values, nulls| {
            pg_sys::SPI_execute_plan(plan(queue_name, statement).0, values, nulls, false, 0)
        })
    }
}

/// # Safety
/// Within a connection to SPI.
unsafe fn plan(queue_name: &str, statement: Statement) -> Plan {
    let number = statement.number();
    let known = PLANS.with_borrow(|plans| plans.get(queue_name).and_then(|plans| plans[number]));
    known.unwrap_or_else(|| {
        let Ok(text) = CString::new(statement.text(queue_name)) else { error!("a queue's name holds a zero byte") };
        let mut types = statement.types().to_vec();
        // SAFETY: the plan outlives the connection once it is kept.
        let plan = unsafe {
            let plan = pg_sys::SPI_prepare(text.as_ptr(), types.len() as i32, types.as_mut_ptr());
            if plan.is_null() || pg_sys::SPI_keepplan(plan) != 0 {
                error!("a statement on queue {queue_name} cannot be planned");
            }
            Plan(plan)
        };
        PLANS.with_borrow_mut(|plans| plans.entry(queue_name.to_string()).or_default()[number] = Some(plan));
        plan
    })
}

/// The argument as plans take it: what plpgsql may change in place is read-only there.
///
/// # Safety
/// The argument is an array.
pub unsafe fn array(fcinfo: FunctionCallInfo, number: usize) -> Option<Datum> {
    // SAFETY: see above.
    unsafe { pg_getarg_datum(fcinfo, number).map(|datum| pg_sys::MakeExpandedObjectReadOnlyInternal(datum)) }
}

/// Puts messages into a queue, in the order given, and returns their ids: what `pgmq.send_batch` does, without its three
/// layers of functions that hand on every row (3.2 us a message of 1 kB in batches of 500, against 6.2).
#[pg_extern(
    volatile,
    strict,
    sql = "create function tasker._send(queue_name text, messages jsonb[]) returns bigint[] volatile strict language c as 'MODULE_PATHNAME', '@FUNCTION_NAME@';"
)]
fn _send(fcinfo: FunctionCallInfo) -> Option<AnyElement> {
    // SAFETY: the function is declared with these types.
    unsafe {
        let queue_name: &str = pg_getarg(fcinfo, 0)?;
        let msg_ids = send(queue_name, array(fcinfo, 1));
        AnyElement::from_polymorphic_datum(values::nullable_array(&msg_ids, pg_sys::INT8OID)?, false, MANY_IDS)
    }
}

/// Returns the ids of the messages.
///
/// # Safety
/// In a statement; the messages are an array of jsonb.
pub unsafe fn send(queue_name: &str, messages: Option<Datum>) -> Elements {
    // SAFETY: see above.
    unsafe { run(queue_name, Statement::Send, &[messages]).into_iter().map(|[msg_id]| msg_id).collect() }
}

/// Removes from a queue those of a list of messages that stand at some places of the list, from 1. Returns how many these are.
#[pg_extern(
    volatile,
    strict,
    sql = "create function tasker._remove_messages(queue_name text, msg_ids bigint[], places bigint[]) returns integer volatile strict language c as 'MODULE_PATHNAME', '@FUNCTION_NAME@';"
)]
fn _remove_messages(queue_name: &str, msg_ids: Array<i64>, places: Array<i64>) -> Option<i32> {
    let msg_ids: Vec<i64> = msg_ids.iter().flatten().collect();
    let at = |place: i64| msg_ids.get(usize::try_from(place).ok()?.checked_sub(1)?).copied();
    let gone: Vec<i64> = places.iter().flatten().filter_map(at).collect();
    let count = i32::try_from(gone.len()).ok();
    // SAFETY: in a statement.
    unsafe { remove(queue_name, gone.into_iter()) };
    count
}

/// Removes messages from a queue.
///
/// # Safety
/// In a statement.
pub unsafe fn remove(queue_name: &str, msg_ids: impl Iterator<Item = i64>) {
    // SAFETY: the argument is of the statement's type.
    unsafe {
        let msg_ids = values::array(msg_ids.map(Datum::from).collect(), pg_sys::INT8OID);
        if msg_ids.is_some() {
            run::<0>(queue_name, Statement::Remove, &[msg_ids]);
        }
    }
}

/// Whether somebody holds a queue as a whole: an open `drop_namespace`, purge or TRUNCATE. Otherwise the caller has it
/// locked against that until it commits. A queue that is gone is not held.
#[pg_extern(volatile)]
pub fn _queue_is_held(queue_name: &str) -> bool {
    let Some(table) = table(queue_name) else {
        return false;
    };
    // SAFETY: nothing but locks and look-ups in catalogs.
    unsafe { !pg_sys::ConditionalLockRelationOid(table, pg_sys::RowExclusiveLock as i32) }
}

/// Whether a queue exists, whoever may read it.
#[pg_extern(stable, parallel_safe)]
fn _queue_exists(queue_name: &str) -> bool {
    table(queue_name).is_some()
}

/// The table of a queue, if it exists.
pub fn table(queue_name: &str) -> Option<Oid> {
    let table = CString::new(format!("q_{queue_name}")).ok()?;
    // SAFETY: look-ups in catalogs, in a transaction; the name outlives them.
    unsafe {
        let schema = pg_sys::get_namespace_oid(c"pgmq".as_ptr(), true);
        Some(pg_sys::get_relname_relid(table.as_ptr(), schema)).filter(|oid| *oid != Oid::INVALID)
    }
}
