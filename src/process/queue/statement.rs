//! Statements on the tables of queues, for what is not done past the executor (`past`). A queue's name is known only when the
//! statement runs, so plpgsql would plan it in every call (some 60 us); here each is planned once a session. The server plans
//! anew by itself what a change of the table has outdated.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::{CStr, CString};

use pgrx::pg_sys::{Datum, Oid, SPIPlanPtr};
use pgrx::prelude::*;
use pgrx::spi::quote_identifier;

use crate::process::session;
use crate::process::spi::rows;

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
    Remove,
}

const MANY_IDS: Oid = pg_sys::INT8ARRAYOID;
const MANY_NAMES: Oid = pg_sys::TEXTARRAYOID;

impl Statement {
    const COUNT: usize = 5;

    fn number(self) -> usize {
        match self {
            Statement::Remove => 0,
            Statement::Find { of_tasks, of_steps } => 1 + usize::from(of_tasks) + 2 * usize::from(of_steps),
        }
    }

    fn types(self) -> &'static [Oid] {
        match self {
            Statement::Find { .. } => &[pg_sys::INT8OID, pg_sys::INT8OID, pg_sys::INT8OID, MANY_NAMES, MANY_NAMES],
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
    let run = || unsafe {
        rows(arguments, |values, nulls| {
            pg_sys::SPI_execute_plan(plan(queue_name, statement).0, values, nulls, false, 0)
        })
    };
    // A look goes along the index from where it begins, whatever the planner takes a queue for.
    let off = |name: &CStr, run: &dyn Fn() -> Vec<[Option<Datum>; N]>| session::with_setting(name, c"off", run);
    off(c"enable_seqscan", &|| off(c"enable_bitmapscan", &run))
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
            let options = pg_sys::CURSOR_OPT_GENERIC_PLAN as i32;
            let plan = pg_sys::SPI_prepare_cursor(text.as_ptr(), types.len() as i32, types.as_mut_ptr(), options);
            if plan.is_null() || pg_sys::SPI_keepplan(plan) != 0 {
                error!("a statement on queue {queue_name} cannot be planned");
            }
            Plan(plan)
        };
        PLANS.with_borrow_mut(|plans| plans.entry(queue_name.to_string()).or_default()[number] = Some(plan));
        plan
    })
}
