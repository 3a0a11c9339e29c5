//! Rows by key, as the statement's snapshot shows them: where they were last seen, and by index.

use std::ffi::CStr;
use std::ptr::null_mut;

use pgrx::itemptr::item_pointer_get_block_number_no_check;
use pgrx::pg_sys::{AttrNumber, Datum, Relation, ScanKeyData, TupleTableSlot};
use pgrx::prelude::*;

use super::{attribute, bigint, open};

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
}

impl Rows {
    pub(super) unsafe fn open(table: Relation, key: Key) -> Rows {
        // SAFETY: the table is open.
        unsafe {
            let column = attribute(table, key.column);
            let blocks = pg_sys::RelationGetNumberOfBlocksInFork(table, pg_sys::ForkNumber::MAIN_FORKNUM);
            Rows { table, key, column, blocks, slot: pg_sys::table_slot_create(table, null_mut()), scan: None }
        }
    }

    /// The row with a key, all of its columns taken apart, until the next is looked for.
    pub(super) unsafe fn find(&mut self, key: i64) -> Option<*mut TupleTableSlot> {
        // SAFETY: the table is open.
        unsafe {
            if !self.fetch(key) {
                let scan = self.scan.get_or_insert_with(|| Scan::open(self.table, self.key.index));
                if !scan.find(key, self.slot) {
                    return None;
                }
                pg_sys::slot_getallattrs(self.slot);
                places::note(self.table, key, (*self.slot).tts_tid);
            }
        }
        Some(self.slot)
    }

    /// The same where it was last seen. Not there when it has got a new version, or has gone with the transaction that
    /// wrote it: another row may have its place then.
    unsafe fn fetch(&mut self, key: i64) -> bool {
        // SAFETY: the block exists, and the column is a bigint.
        unsafe {
            let Some(mut place) = places::of(self.table, key) else { return false };
            if item_pointer_get_block_number_no_check(place) >= self.blocks
                || !pg_sys::table_tuple_fetch_row_version(
                    self.table,
                    &raw mut place,
                    pg_sys::GetActiveSnapshot(),
                    self.slot,
                )
            {
                return false;
            }
            pg_sys::slot_getallattrs(self.slot);
            bigint(self.slot, self.column) == key
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

struct Scan {
    index: Relation,
    scan: pg_sys::IndexScanDesc,
    key: ScanKeyData,
}

impl Scan {
    unsafe fn open(table: Relation, index: &CStr) -> Scan {
        // SAFETY: the table is open; an unknown index is an error.
        unsafe {
            let id = pg_sys::get_relname_relid(index.as_ptr(), (*(*table).rd_rel).relnamespace);
            let index = pg_sys::index_open(id, pg_sys::AccessShareLock as i32);
            let snapshot = pg_sys::GetActiveSnapshot();
            #[cfg(not(feature = "pg18"))]
            let scan = pg_sys::index_beginscan(table, index, snapshot, 1, 0);
            #[cfg(feature = "pg18")]
            let scan = pg_sys::index_beginscan(table, index, snapshot, null_mut(), 1, 0);
            let mut key = ScanKeyData::default();
            let equal = pg_sys::BTEqualStrategyNumber as u16;
            pg_sys::ScanKeyInit(&raw mut key, 1, equal, pg_sys::F_INT8EQ.into(), Datum::null());
            Scan { index, scan, key }
        }
    }

    unsafe fn find(&mut self, key: i64, slot: *mut TupleTableSlot) -> bool {
        self.key.sk_argument = key.into();
        // SAFETY: the scan is open, and the index is of a bigint.
        unsafe {
            pg_sys::index_rescan(self.scan, &raw mut self.key, 1, null_mut(), 0);
            pg_sys::index_getnext_slot(self.scan, pg_sys::ScanDirection::ForwardScanDirection, slot)
        }
    }

    unsafe fn close(self) {
        // SAFETY: opened in `open`.
        unsafe {
            pg_sys::index_endscan(self.scan);
            pg_sys::index_close(self.index, pg_sys::NoLock as i32);
        }
    }
}

/// Where this process has last seen rows. A look there costs a third of one by index, and a session comes back to the rows
/// of a step a few times in its life. Whoever looks makes sure that the row is there.
pub(super) mod places {
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

/// Some columns of the rows of a table of schema `tasker`, by key.
pub struct Reader<const N: usize> {
    table: Relation,
    rows: Rows,
    columns: [AttrNumber; N],
}

impl<const N: usize> Reader<N> {
    /// # Safety
    /// In a statement; closed before it ends.
    pub unsafe fn open(table: &CStr, key: Key, columns: [&CStr; N]) -> Reader<N> {
        // SAFETY: what does not exist is an error.
        unsafe {
            let table = open(table, pg_sys::AccessShareLock);
            let columns = columns.map(|name| attribute(table, name));
            Reader { table, rows: Rows::open(table, key), columns }
        }
    }

    /// The columns of the row with a key. What they point to is there until the next is looked for.
    pub fn find(&mut self, key: i64) -> Option<[Option<Datum>; N]> {
        // SAFETY: the slot has a place for each column of the table.
        unsafe {
            let slot = self.rows.find(key)?;
            Some(self.columns.map(|column| {
                let place = (column - 1) as usize;
                (!*(*slot).tts_isnull.add(place)).then(|| *(*slot).tts_values.add(place))
            }))
        }
    }

    pub fn close(self) {
        // SAFETY: opened in `open`.
        unsafe {
            self.rows.close();
            pg_sys::table_close(self.table, pg_sys::NoLock as i32);
        }
    }
}
