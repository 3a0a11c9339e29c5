//! Rows by key, as the statement's snapshot shows them: where they were last seen, and by index.

use std::ffi::CStr;
use std::ptr::null_mut;

use pgrx::itemptr::item_pointer_get_block_number_no_check;
use pgrx::pg_sys::{AttrNumber, Datum, Relation, TupleTableSlot};
use pgrx::prelude::*;

use super::index::{End, Operator, Scan};
use super::{attribute, bigint, open};
use crate::error::{Error, raise};

/// A unique index of a single bigint column.
#[derive(Clone, Copy)]
pub struct Key {
    pub index: &'static CStr,
    pub column: &'static CStr,
}

/// The rows of a table by key, as the statement's snapshot shows them.
pub(super) struct Rows {
    table: Relation,
    key: Key,
    column: AttrNumber,
    /// How many blocks the table has at least: nobody can cut it while it is open.
    blocks: u32,
    slot: *mut TupleTableSlot,
    scan: Option<Scan>,
    /// The block that was last cleared of dead rows.
    pruned: Option<u32>,
}

impl Rows {
    pub(super) unsafe fn open(table: Relation, key: Key) -> Rows {
        // SAFETY: the table is open.
        unsafe {
            if (*(*table).rd_rel).relam != pg_sys::HEAP_TABLE_AM_OID {
                error!("the tables of tasker_pg must be heaps");
            }
            let column = attribute(table, key.column);
            let blocks = pg_sys::RelationGetNumberOfBlocksInFork(table, pg_sys::ForkNumber::MAIN_FORKNUM);
            let slot = pg_sys::table_slot_create(table, null_mut());
            Rows { table, key, column, blocks, slot, scan: None, pruned: None }
        }
    }

    /// The row with a key, all of its columns taken apart, until the next is looked for.
    pub(super) unsafe fn find(&mut self, key: i64) -> Option<*mut TupleTableSlot> {
        // SAFETY: the table is open.
        unsafe {
            if !self.fetch(key) {
                let scan =
                    self.scan.get_or_insert_with(|| Scan::open(self.table, self.key.index, &[Operator::BIGINT_IS]));
                scan.begin(&[key.into()]);
                if !scan.next(End::First, self.slot) {
                    return None;
                }
                pg_sys::slot_getallattrs(self.slot);
                places::note(self.table, key, (*self.slot).tts_tid);
            }
        }
        Some(self.slot)
    }

    /// The last version of the row with a key, locked as an update of it would (`for no key update`); none where somebody
    /// else has it locked. Also above read committed the last version, where SELECT raises 40001.
    unsafe fn lock(&mut self, key: i64) -> Option<*mut TupleTableSlot> {
        // SAFETY: the table is open for it, and the slot is one of its own.
        unsafe {
            let slot = self.find(key)?;
            if lock(self.table, slot, pg_sys::LockTupleMode::LockTupleNoKeyExclusive)? {
                places::note(self.table, key, (*slot).tts_tid);
            }
            Some(slot)
        }
    }

    /// The row where it was last seen. Not there when it has got a new version, or has gone with the transaction that
    /// wrote it: another row may have its place then.
    unsafe fn fetch(&mut self, key: i64) -> bool {
        // SAFETY: the block exists, and the column is a bigint.
        unsafe {
            let Some(mut place) = places::of(self.table, key) else { return false };
            let block = item_pointer_get_block_number_no_check(place);
            if block >= self.blocks {
                return false;
            }
            self.prune(block);
            let snapshot = pg_sys::GetActiveSnapshot();
            if !pg_sys::table_tuple_fetch_row_version(self.table, &raw mut place, snapshot, self.slot) {
                return false;
            }
            pg_sys::slot_getallattrs(self.slot);
            bigint(self.slot, self.column) == key
        }
    }

    /// Clears a block of its dead rows where it is nearly full, as a look by index does. Without that new versions of its
    /// rows would find no room in it.
    unsafe fn prune(&mut self, block: u32) {
        if self.pruned.replace(block) == Some(block) {
            return;
        }
        // SAFETY: the block exists. The last row's may be this one, and rows move in it.
        unsafe {
            pg_sys::ExecClearTuple(self.slot);
            let buffer = pg_sys::ReadBuffer(self.table, block);
            pg_sys::heap_page_prune_opt(self.table, buffer);
            pg_sys::ReleaseBuffer(buffer);
        }
    }

    pub(super) unsafe fn close(self) {
        // SAFETY: opened in `open`.
        unsafe {
            pg_sys::ExecDropSingleTupleTableSlot(self.slot);
            if let Some(scan) = self.scan {
                scan.close();
            }
        }
    }
}

/// Where this process has last seen rows. A look there costs a third of one by index, and a session comes back to the rows
/// of a step a few times in its life. Whoever looks makes sure that the row is there.
pub mod places {
    use std::cell::RefCell;
    use std::collections::HashMap;

    use pgrx::pg_sys::{ItemPointerData, Oid, Relation};

    /// So many are known at most, some 2 MB; then all are forgotten.
    const MOST: usize = 57_344; // 7/8 of a power of two, as full as the map's table gets

    thread_local! {
        /// By table and key.
        static PLACES: RefCell<HashMap<(Oid, i64), ItemPointerData>> = RefCell::default();
    }

    pub unsafe fn of(table: Relation, key: i64) -> Option<ItemPointerData> {
        // SAFETY: the table is open.
        let table = unsafe { (*table).rd_id };
        PLACES.with_borrow(|places| places.get(&(table, key)).copied())
    }

    pub unsafe fn forget(table: Relation, key: i64) {
        // SAFETY: the table is open.
        let table = unsafe { (*table).rd_id };
        PLACES.with_borrow_mut(|places| places.remove(&(table, key)));
    }

    pub unsafe fn note(table: Relation, key: i64, place: ItemPointerData) {
        // SAFETY: the table is open.
        let table = unsafe { (*table).rd_id };
        PLACES.with_borrow_mut(|places| {
            if places.len() >= MOST {
                places.clear();
            }
            places.insert((table, key), place);
        });
    }
}

/// Some columns of the rows of a table of schema `tasker`, by key. What they point to is there until the next row is looked
/// for.
pub struct Reader<const N: usize> {
    table: Relation,
    rows: Rows,
    columns: [AttrNumber; N],
}

/// Whether somebody may have locked the row in a slot, or be changing it. Not so where whoever has ever done that is known to have
/// failed.
///
/// # Safety
/// It is a row of a heap, in its page.
pub unsafe fn is_touched(slot: *mut TupleTableSlot) -> bool {
    // SAFETY: see above.
    unsafe {
        let row = pg_sys::ExecFetchSlotHeapTuple(slot, false, null_mut());
        u32::from((*(*row).t_data).t_infomask) & pg_sys::HEAP_XMAX_INVALID == 0
    }
}

pub type Values<const N: usize> = [Option<Datum>; N];

impl<const N: usize> Reader<N> {
    /// # Safety
    /// In a statement; closed before it ends.
    pub unsafe fn open(table: &CStr, key: Key, columns: [&CStr; N]) -> Reader<N> {
        // SAFETY: see above.
        unsafe { Reader::open_with(table, key, columns, pg_sys::AccessShareLock) }
    }

    /// To lock rows as well.
    ///
    /// # Safety
    /// In a statement; closed before it ends.
    pub unsafe fn open_to_lock(table: &CStr, key: Key, columns: [&CStr; N]) -> Reader<N> {
        // SAFETY: see above.
        unsafe {
            pg_sys::PreventCommandIfReadOnly(c"SELECT FOR NO KEY UPDATE".as_ptr());
            Reader::open_with(table, key, columns, pg_sys::RowShareLock)
        }
    }

    unsafe fn open_with(table: &CStr, key: Key, columns: [&CStr; N], lock: u32) -> Reader<N> {
        // SAFETY: what does not exist is an error.
        unsafe {
            let table = open(table, lock);
            let columns = columns.map(|name| attribute(table, name));
            Reader { table, rows: Rows::open(table, key), columns }
        }
    }

    /// The row with a key.
    pub fn find(&mut self, key: i64) -> Option<Values<N>> {
        // SAFETY: the table is open.
        unsafe { self.rows.find(key).map(|slot| values(slot, self.columns)) }
    }

    /// The row with a key, and whether somebody may have locked it, or be changing it.
    pub fn find_touched(&mut self, key: i64) -> Option<(Values<N>, bool)> {
        // SAFETY: the table is open, and its rows have the columns of the system.
        unsafe {
            let slot = self.rows.find(key)?;
            Some((values(slot, self.columns), is_touched(slot)))
        }
    }

    /// Whether somebody else seems to have the row with a key locked at the moment, or is changing it.
    pub fn is_held(&mut self, key: i64) -> bool {
        // SAFETY: the table is open, and its slots hold rows of a heap.
        unsafe {
            let Some(slot) = self.rows.find(key) else { return false };
            let header = &*(*(*slot.cast::<pg_sys::HeapTupleTableSlot>()).tuple).t_data;
            let (xmax, flags) = (header.t_choice.t_heap.t_xmax, u32::from(header.t_infomask));
            xmax != pg_sys::TransactionId::INVALID
                && flags & pg_sys::HEAP_XMAX_INVALID == 0
                && (flags & pg_sys::HEAP_XMAX_IS_MULTI != 0
                    || pg_sys::TransactionIdIsInProgress(xmax) && !pg_sys::TransactionIdIsCurrentTransactionId(xmax))
        }
    }

    /// The last version of the row with a key, locked until the transaction ends; none where somebody else has it.
    pub fn lock(&mut self, key: i64) -> Option<Values<N>> {
        // SAFETY: the table is open to lock.
        unsafe { self.rows.lock(key).map(|slot| values(slot, self.columns)) }
    }

    pub fn close(self) {
        // SAFETY: opened in `open`.
        unsafe {
            self.rows.close();
            pg_sys::table_close(self.table, pg_sys::NoLock as i32);
        }
    }
}

/// Locks the last version of the row in a slot, which has that then: whether it is a later one. None where somebody else has it
/// locked, or it has gone.
///
/// # Safety
/// The table is open to lock, and the slot is one of its own.
pub unsafe fn lock(table: Relation, slot: *mut TupleTableSlot, mode: pg_sys::LockTupleMode::Type) -> Option<bool> {
    use pg_sys::TM_Result;
    // SAFETY: see above.
    unsafe {
        let mut place = (*slot).tts_tid;
        let mut failure = pg_sys::TM_FailureData::default();
        let result = pg_sys::table_tuple_lock(
            table,
            &raw mut place,
            pg_sys::GetActiveSnapshot(),
            slot,
            pg_sys::GetCurrentCommandId(true),
            mode,
            pg_sys::LockWaitPolicy::LockWaitSkip,
            (pg_sys::TUPLE_LOCK_FLAG_LOCK_UPDATE_IN_PROGRESS | pg_sys::TUPLE_LOCK_FLAG_FIND_LAST_VERSION) as u8,
            &raw mut failure,
        );
        match result {
            TM_Result::TM_Ok => {
                pg_sys::slot_getallattrs(slot);
                Some(failure.traversed)
            }
            TM_Result::TM_WouldBlock | TM_Result::TM_SelfModified | TM_Result::TM_Deleted => None,
            _ => raise(Error::RowChanges),
        }
    }
}

/// Columns of a row.
///
/// # Safety
/// The slot has a place for each column of the table, and has been taken apart.
pub unsafe fn values<const N: usize>(slot: *mut TupleTableSlot, columns: [AttrNumber; N]) -> Values<N> {
    columns.map(|column| {
        let place = (column - 1) as usize;
        // SAFETY: the slot has a place for each column of the table, and has been taken apart.
        unsafe { (!*(*slot).tts_isnull.add(place)).then(|| *(*slot).tts_values.add(place)) }
    })
}
