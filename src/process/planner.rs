//! What the planner takes for the size of a queue.
//!
//! It multiplies a table's pages by the rows a page that vacuum has found last, and a queue is vacuumed when it is empty or
//! nearly so. Then it takes the queue for a row or two, however much that holds by now, and `pgmq.pop` compares each of its
//! messages with each that it takes: 13 to 16 ms for 100 of 1,000, not 1. So a queue with few rows a page is taken for one that was never
//! vacuumed.

use std::cell::Cell;
use std::ffi::CStr;

use pgrx::pg_sys::{IndexOptInfo, Oid, PlannerInfo, RelOptInfo};
use pgrx::prelude::*;
use pgrx::{PgList, pg_guard};

/// The least number of messages a page. Messages have some 500 bytes and more.
const LEAST: f64 = 10.0;

thread_local! {
    static NEXT: Cell<pg_sys::get_relation_info_hook_type> = const { Cell::new(None) };
}

/// Installs the hook. Only while libraries are being preloaded.
pub fn init() {
    // SAFETY: hooks are chained as the server's documentation asks for.
    unsafe {
        NEXT.set(pg_sys::get_relation_info_hook);
        pg_sys::get_relation_info_hook = Some(get_relation_info);
    }
}

/// Not guarded: errors of the next hook pass as they are. So this function holds nothing that would have to be dropped.
unsafe extern "C-unwind" fn get_relation_info(
    planner: *mut PlannerInfo,
    table: Oid,
    is_parent: bool,
    about: *mut RelOptInfo,
) {
    // SAFETY: called as the server calls this one.
    unsafe {
        if let Some(next) = NEXT.get() {
            next(planner, table, is_parent, about);
        }
        assume_messages(table, about);
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn assume_messages(table: Oid, about: *mut RelOptInfo) {
    // SAFETY: the server describes a table that it has open, and its indexes.
    unsafe {
        let least = LEAST * f64::from((*about).pages);
        if (*about).tuples >= least || !is_queue(table) {
            return;
        }
        (*about).tuples = least;
        for index in PgList::<IndexOptInfo>::from_pg((*about).indexlist).iter_ptr() {
            if (*index).indpred.is_null() {
                (*index).tuples = least;
            }
        }
    }
}

/// Whether a table is a queue of tasker's: see _ensure_queues and create_namespace.
unsafe fn is_queue(table: Oid) -> bool {
    // SAFETY: look-ups in catalogs; what comes back is this call's.
    unsafe {
        let schema = |name: &CStr| pg_sys::get_namespace_oid(name.as_ptr(), true);
        if pg_sys::get_rel_namespace(table) != schema(c"pgmq") || schema(c"tasker") == Oid::INVALID {
            return false;
        }
        let name = pg_sys::get_rel_name(table);
        !name.is_null() && {
            let name = CStr::from_ptr(name).to_bytes();
            name.starts_with(b"q_") && (name.ends_with(b"_queue") || name.starts_with(b"q_orchestration_"))
        }
    }
}
