//! Messages of queues found, locked and removed past the executor, as statements would do it.

use std::ptr::null_mut;

use pgrx::pg_sys::{AttrNumber, Oid, Relation, TupleTableSlot};
use pgrx::prelude::*;

use super::Message;
use crate::process::spi::as_next_statement;
use crate::process::table::index::{End, Operator, Scan};
use crate::process::table::read::{lock, places, values};
use crate::process::table::{column, delete, has_plain_rows};

/// A queue's table, which is as pgmq makes it and has nothing to it that a statement would have to mind.
pub struct Queue {
    table: Relation,
    /// By the ids of messages, and unique.
    index: Oid,
    msg_id: AttrNumber,
    vt: AttrNumber,
    message: AttrNumber,
}

impl Queue {
    /// None where only a statement knows what to do; also above read committed.
    ///
    /// # Safety
    /// In a statement, and used once before it ends.
    pub unsafe fn open(queue_name: &str, lock: u32) -> Option<Queue> {
        // SAFETY: what is opened and of no use is closed.
        unsafe {
            if pg_sys::XactIsoLevel > pg_sys::XACT_READ_COMMITTED as i32 {
                return None;
            }
            pg_sys::PreventCommandIfReadOnly(c"SELECT FOR UPDATE".as_ptr());
            // Where it has gone by now, a statement says so.
            let table = pg_sys::try_table_open(super::table(queue_name)?, lock as i32);
            if table.is_null() {
                return None;
            }
            let queue = Queue::of(table);
            if queue.is_none() {
                pg_sys::table_close(table, pg_sys::NoLock as i32);
            }
            queue
        }
    }

    unsafe fn of(table: Relation) -> Option<Queue> {
        // SAFETY: the table is open.
        unsafe {
            // Triggers of ours are called by inserts alone.
            let has_triggers = (*table).trigdesc.as_ref().is_some_and(|triggers| {
                triggers.trig_delete_before_row
                    || triggers.trig_delete_after_row
                    || triggers.trig_delete_instead_row
                    || triggers.trig_delete_before_statement
                    || triggers.trig_delete_after_statement
            });
            if has_triggers || !has_plain_rows(table) {
                return None;
            }
            let msg_id = column(table, c"msg_id", pg_sys::INT8OID)?;
            let vt = column(table, c"vt", pg_sys::TIMESTAMPTZOID)?;
            let message = column(table, c"message", pg_sys::JSONBOID)?;
            #[cfg(not(feature = "pg18"))]
            let index = pg_sys::RelationGetPrimaryKeyIndex(table);
            #[cfg(feature = "pg18")]
            let index = pg_sys::RelationGetPrimaryKeyIndex(table, false);
            Scan::is_by(index, msg_id).then_some(Queue { table, index, msg_id, vt, message })
        }
    }

    /// Locks messages: SELECT FOR UPDATE SKIP LOCKED.
    pub unsafe fn find(self, qty: i32, after: i64, upto: i64) -> Vec<Message> {
        let qty = usize::try_from(qty).unwrap_or_default();
        let mut found = Vec::new();
        // SAFETY: the table is open, and its columns are of these types.
        unsafe {
            let now = pg_sys::GetCurrentTimestamp();
            let slot = pg_sys::table_slot_create(self.table, null_mut());
            as_next_statement(|| {
                let mut scan = Scan::open_by(
                    self.table,
                    self.index,
                    vec![(1, Operator::BIGINT_ABOVE), (1, Operator::BIGINT_UPTO)],
                );
                scan.begin(&[after.into(), upto.into()]);
                while found.len() < qty && scan.next(End::First, slot) {
                    check_for_interrupts!();
                    if self.is_due(slot, now) && self.lock(slot, now) {
                        let [msg_id, content] = values(slot, [self.msg_id, self.message]);
                        let Some(msg_id) = msg_id.map(|id| id.value() as i64) else { continue };
                        places::note(self.table, msg_id, (*slot).tts_tid);
                        // It is read from where it is stored while it is there, and once.
                        let content =
                            content.map(|content| pg_sys::pg_detoast_datum_copy(content.cast_mut_ptr()).into());
                        found.push(Message { msg_id, content });
                    }
                }
                scan.close();
            });
            pg_sys::ExecDropSingleTupleTableSlot(slot);
            self.close();
        }
        found
    }

    unsafe fn is_due(&self, slot: *mut TupleTableSlot, now: i64) -> bool {
        // SAFETY: the slot holds a row of the table.
        unsafe {
            pg_sys::slot_getallattrs(slot);
            let [vt] = values(slot, [self.vt]);
            vt.is_some_and(|vt| vt.value() as i64 <= now)
        }
    }

    /// Locks the last version of the row in the slot, which is there then; false where somebody else has it locked, or it
    /// has gone or is not due any more.
    unsafe fn lock(&self, slot: *mut TupleTableSlot, now: i64) -> bool {
        // SAFETY: the slot holds a row of the table.
        unsafe { lock(self.table, slot, pg_sys::LockTupleMode::LockTupleExclusive).is_some() && self.is_due(slot, now) }
    }

    /// Removes messages; returns those that somebody has changed since, which only a statement knows how to wait for.
    pub unsafe fn remove(self, msg_ids: Vec<i64>) -> Vec<i64> {
        // SAFETY: the table is open, and its columns are of these types.
        unsafe {
            pg_sys::CheckCmdReplicaIdentity(self.table, pg_sys::CmdType::CMD_DELETE);
            let slot = pg_sys::table_slot_create(self.table, null_mut());
            let blocks = pg_sys::RelationGetNumberOfBlocksInFork(self.table, pg_sys::ForkNumber::MAIN_FORKNUM);
            let changed = as_next_statement(|| {
                let mut scan = None;
                let changed = msg_ids.into_iter().filter(|msg_id| {
                    check_for_interrupts!();
                    let is_there = self.is_where_seen(*msg_id, blocks, slot) || {
                        let scan = scan.get_or_insert_with(|| {
                            Scan::open_by(self.table, self.index, vec![(1, Operator::BIGINT_IS)])
                        });
                        scan.begin(&[(*msg_id).into()]);
                        scan.next(End::First, slot)
                    };
                    places::forget(self.table, *msg_id);
                    is_there && !self.delete(slot)
                });
                let changed = changed.collect();
                scan.into_iter().for_each(|scan| scan.close());
                changed
            });
            pg_sys::ExecDropSingleTupleTableSlot(slot);
            self.close();
            changed
        }
    }

    /// Puts a message into the slot, where it is still in the place in which it was locked.
    unsafe fn is_where_seen(&self, msg_id: i64, blocks: u32, slot: *mut TupleTableSlot) -> bool {
        // SAFETY: the row may have been changed, not moved: this transaction has locked it.
        unsafe {
            let Some(mut place) = places::of(self.table, msg_id) else { return false };
            if pgrx::itemptr::item_pointer_get_block_number_no_check(place) >= blocks
                || !pg_sys::table_tuple_fetch_row_version(self.table, &raw mut place, pg_sys::GetActiveSnapshot(), slot)
            {
                return false;
            }
            pg_sys::slot_getallattrs(slot);
            let [id] = values(slot, [self.msg_id]);
            id.is_some_and(|id| id.value() as i64 == msg_id)
        }
    }

    /// Deletes the row in the slot; false where it has been changed since.
    unsafe fn delete(&self, slot: *mut TupleTableSlot) -> bool {
        use pg_sys::TM_Result;
        // SAFETY: the slot holds a row of the table.
        let result = unsafe { delete(self.table, (*slot).tts_tid) };
        matches!(result, TM_Result::TM_Ok | TM_Result::TM_SelfModified | TM_Result::TM_Deleted)
    }

    unsafe fn close(self) {
        // SAFETY: opened in `open`.
        unsafe { pg_sys::table_close(self.table, pg_sys::NoLock as i32) };
    }
}
