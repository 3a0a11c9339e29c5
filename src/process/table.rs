//! Rows of our own tables past the executor, many in one call and with no plan to begin: read by key, appended by
//! `heap_multi_insert` as COPY does, or updated by key. CHECK constraints and indexes are kept as the executor keeps them.
//! What else a write may set off (triggers, rules, row security, generated columns) is not known here, so a table with
//! any of it is left to the executor.

use std::ffi::CStr;
use std::ptr::null_mut;

use pgrx::direct_function_call;
use pgrx::itemptr::item_pointer_get_block_number_no_check;
use pgrx::pg_sys::{AttrNumber, Datum, EState, Oid, Relation, ResultRelInfo, ScanKeyData, TupleTableSlot};
use pgrx::prelude::*;

use crate::error::{Error, raise};

/// So many rows are held in memory at once.
const PORTION: usize = 500;

/// What a column gets. One that is not named stays null in a new row, and as it is in an updated one.
pub enum Column {
    Null,
    /// The same in all rows.
    One(Datum),
    /// One for each row; `None` is null.
    Each(Vec<Option<Datum>>),
    /// The next number of a sequence.
    Next(Oid),
}

impl Column {
    fn value(&self, row: usize) -> Option<Datum> {
        match self {
            Column::Null => None,
            Column::One(value) => Some(*value),
            Column::Each(values) => values.get(row).copied().flatten(),
            // SAFETY: a sequence that does not exist is an error.
            Column::Next(sequence) => unsafe {
                direct_function_call::<i64>(pg_sys::nextval_oid, &[sequence.into_datum()]).into_datum()
            },
        }
    }
}

/// Writes to a table of schema `tasker`. After an error the server closes what is open.
pub struct Writer {
    relation: Relation,
    target: *mut ResultRelInfo,
    state: *mut EState,
    columns: Vec<(AttrNumber, Column)>,
}

impl Writer {
    /// `None` where a write is more than rows, CHECK constraints and entries of indexes: the executor must do it then.
    ///
    /// # Safety
    /// In a transaction; closed before its statement ends.
    pub unsafe fn open(name: &CStr) -> Option<Writer> {
        // SAFETY: look-ups in catalogs; an unknown table is an error.
        unsafe {
            let relation = open(name, pg_sys::RowExclusiveLock);
            if !is_plain(relation) {
                pg_sys::table_close(relation, pg_sys::NoLock as i32);
                return None;
            }
            let state = pg_sys::CreateExecutorState();
            let target = pg_sys::palloc0(size_of::<ResultRelInfo>()).cast();
            pg_sys::InitResultRelInfo(target, relation, 0, null_mut(), 0);
            pg_sys::ExecOpenIndices(target, false);
            Some(Writer { relation, target, state, columns: Vec::new() })
        }
    }

    /// Says what a column gets; `None`: what it gets if it is not named.
    ///
    /// # Safety
    /// The values are of the column's type.
    pub unsafe fn set(mut self, name: &CStr, column: Option<Column>) -> Writer {
        if let Some(column) = column {
            // SAFETY: the table is open.
            self.columns.push((unsafe { self.attribute(name) }, column));
        }
        self
    }

    /// Gives an identity column the numbers of its sequence, which has this name if nobody has changed it.
    ///
    /// # Safety
    /// The column is an identity column.
    pub unsafe fn number(self, name: &CStr, sequence: &CStr) -> Writer {
        // SAFETY: the table is open; a column that is none is an error.
        unsafe {
            // By its name first: to ask the column reads the catalog of dependencies, 27,000 instructions.
            let mut id = pg_sys::get_relname_relid(sequence.as_ptr(), (*(*self.relation).rd_rel).relnamespace);
            if id == Oid::INVALID {
                let column = self.attribute(name);
                #[cfg(any(feature = "pg15", feature = "pg16"))]
                let own = pg_sys::getIdentitySequence((*self.relation).rd_id, column, false);
                #[cfg(not(any(feature = "pg15", feature = "pg16")))]
                let own = pg_sys::getIdentitySequence(self.relation, column, false);
                id = own;
            }
            self.set(name, Some(Column::Next(id)))
        }
    }

    unsafe fn attribute(&self, name: &CStr) -> AttrNumber {
        // SAFETY: the table is open.
        unsafe { attribute(self.relation, name) }
    }

    /// Appends as many rows as the columns with a value for each row have, and closes the table. Where the rows have a key
    /// they will be found by it without the index. False, and nothing is written, when a column that is not named has a
    /// default: the executor knows it.
    pub fn append(self, key: Option<Key>) -> bool {
        let rows = self.columns.iter().find_map(|(_, column)| match column {
            Column::Each(values) => Some(values.len()),
            _ => None,
        });
        let rows = if self.knows_defaults() { rows.unwrap_or_default() } else { 0 };
        // SAFETY: the table is open and plain, and the slots have a place for each of its columns.
        unsafe {
            let key_column = key.map(|key| attribute(self.relation, key.column));
            let command = pg_sys::GetCurrentCommandId(true);
            for first in (0..rows).step_by(PORTION) {
                check_for_interrupts!();
                let mut slots: Vec<_> = (first..rows.min(first + PORTION)).map(|row| self.appended(row)).collect();
                for slot in &slots {
                    pg_sys::ExecConstraints(self.target, *slot, self.state);
                }
                // It leaves its copies of the rows behind.
                let context = pg_sys::MemoryContextSwitchTo(self.row_memory());
                pg_sys::heap_multi_insert(
                    self.relation,
                    slots.as_mut_ptr(),
                    slots.len() as i32,
                    command,
                    0,
                    null_mut(),
                );
                pg_sys::MemoryContextSwitchTo(context);
                for slot in slots {
                    self.index(slot, Change::Insert);
                    if let Some(column) = key_column {
                        places::note(self.relation, bigint(slot, column), (*slot).tts_tid);
                    }
                    pg_sys::ExecDropSingleTupleTableSlot(slot);
                }
                pg_sys::MemoryContextReset(self.row_memory());
            }
        }
        let done = self.knows_defaults();
        self.close();
        done
    }

    fn knows_defaults(&self) -> bool {
        // SAFETY: the table is open.
        unsafe {
            let Some(constraints) = (*(*self.relation).rd_att).constr.as_ref() else { return true };
            (0..constraints.num_defval.into())
                .map(|n| (*constraints.defval.add(n)).adnum)
                .all(|column| self.columns.iter().any(|(named, _)| *named == column))
        }
    }

    unsafe fn appended(&self, row: usize) -> *mut TupleTableSlot {
        // SAFETY: the slot has a place for each column of the table.
        unsafe {
            let slot = pg_sys::MakeSingleTupleTableSlot((*self.relation).rd_att, &raw const pg_sys::TTSOpsVirtual);
            for place in 0..self.width() {
                *(*slot).tts_isnull.add(place) = true;
            }
            self.fill(slot, row)
        }
    }

    /// Updates the rows with these keys, and closes the table. As UPDATE does it: a key that has no row is passed over, of
    /// several updates of a row only the first is made, a row that is locked is waited for, and of one that has been
    /// changed since, its last version is updated.
    ///
    /// # Safety
    /// The keys are bigints, and the index is one of the table's.
    pub unsafe fn update(self, key: Key, keys: &[Option<Datum>]) {
        // SAFETY: the table is open and plain, and the slots have a place for each of its columns.
        unsafe {
            pg_sys::CheckCmdReplicaIdentity(self.relation, pg_sys::CmdType::CMD_UPDATE);
            let mut rows = Rows::open(self.relation, key);
            let new = pg_sys::MakeSingleTupleTableSlot((*self.relation).rd_att, &raw const pg_sys::TTSOpsVirtual);
            for (row, key) in keys.iter().enumerate() {
                check_for_interrupts!();
                let Some(key) = key.map(|key| key.value() as i64) else { continue };
                let Some(old) = rows.find(key) else { continue };
                loop {
                    match self.replace(old, new, row) {
                        Replaced::Yes => break places::note(self.relation, key, (*new).tts_tid),
                        Replaced::No => break,
                        Replaced::HasLaterVersion => {}
                    }
                }
                pg_sys::ExecClearTuple(new);
                pg_sys::MemoryContextReset(self.row_memory());
            }
            pg_sys::ExecDropSingleTupleTableSlot(new);
            rows.close();
        }
        self.close();
    }

    /// Puts a new version in the place of the row in `old`. Where there is a later one, that is in `old` then, and locked.
    unsafe fn replace(&self, old: *mut TupleTableSlot, new: *mut TupleTableSlot, row: usize) -> Replaced {
        use pg_sys::TM_Result;
        // SAFETY: both slots have a place for each column of the table.
        unsafe {
            (*new).tts_values.copy_from_nonoverlapping((*old).tts_values, self.width());
            (*new).tts_isnull.copy_from_nonoverlapping((*old).tts_isnull, self.width());
            self.fill(new, row);
            pg_sys::ExecConstraints(self.target, new, self.state);

            let command = pg_sys::GetCurrentCommandId(true);
            let snapshot = pg_sys::GetActiveSnapshot();
            let mut place = (*old).tts_tid;
            let mut failure = pg_sys::TM_FailureData::default();
            let (mut lock, mut indexes) = Default::default();
            let result = pg_sys::table_tuple_update(
                self.relation,
                &raw mut place,
                new,
                command,
                snapshot,
                null_mut(),
                true,
                &raw mut failure,
                &raw mut lock,
                &raw mut indexes,
            );
            match result {
                TM_Result::TM_Ok => {
                    self.index(new, Change::Update(indexes));
                    return Replaced::Yes;
                }
                TM_Result::TM_Updated => {}
                TM_Result::TM_SelfModified | TM_Result::TM_Deleted => return Replaced::No,
                _ => raise(Error::RowChanges),
            }
            let result = pg_sys::table_tuple_lock(
                self.relation,
                &raw mut place,
                snapshot,
                old,
                command,
                lock,
                pg_sys::LockWaitPolicy::LockWaitBlock,
                pg_sys::TUPLE_LOCK_FLAG_FIND_LAST_VERSION as u8,
                &raw mut failure,
            );
            match result {
                TM_Result::TM_Ok => {
                    pg_sys::slot_getallattrs(old);
                    pg_sys::ExecClearTuple(new);
                    Replaced::HasLaterVersion
                }
                TM_Result::TM_SelfModified | TM_Result::TM_Deleted => Replaced::No,
                _ => raise(Error::RowChanges),
            }
        }
    }

    unsafe fn fill(&self, slot: *mut TupleTableSlot, row: usize) -> *mut TupleTableSlot {
        // SAFETY: the slot has a place for each column of the table.
        unsafe {
            for (number, column) in &self.columns {
                let value = column.value(row);
                let place = (*number - 1) as usize;
                *(*slot).tts_values.add(place) = value.unwrap_or(Datum::null());
                *(*slot).tts_isnull.add(place) = value.is_none();
            }
            pg_sys::ExecStoreVirtualTuple(slot)
        }
    }

    unsafe fn index(&self, slot: *mut TupleTableSlot, change: Change) {
        let (is_update, is_needed, only_summarizing) = change.of_indexes();
        if !is_needed {
            return;
        }
        // SAFETY: the slot's row has been written, and the indexes are open.
        unsafe {
            #[cfg(feature = "pg15")]
            pg_sys::ExecInsertIndexTuples(self.target, slot, self.state, is_update, false, null_mut(), null_mut());
            #[cfg(not(feature = "pg15"))]
            pg_sys::ExecInsertIndexTuples(
                self.target,
                slot,
                self.state,
                is_update,
                false,
                null_mut(),
                null_mut(),
                only_summarizing,
            );
            #[cfg(feature = "pg15")]
            let _ = only_summarizing;
        }
    }

    fn width(&self) -> usize {
        // SAFETY: the table is open.
        unsafe { (*(*self.relation).rd_att).natts as usize }
    }

    /// Where constraints and indexes compute; to be reset now and then.
    fn row_memory(&self) -> pg_sys::MemoryContext {
        // SAFETY: the state lives until the table is closed.
        unsafe {
            if (*self.state).es_per_tuple_exprcontext.is_null() {
                pg_sys::MakePerTupleExprContext(self.state);
            }
            (*(*self.state).es_per_tuple_exprcontext).ecxt_per_tuple_memory
        }
    }

    fn close(self) {
        // SAFETY: opened in `open`.
        unsafe {
            pg_sys::ExecCloseIndices(self.target);
            pg_sys::FreeExecutorState(self.state);
            pg_sys::table_close(self.relation, pg_sys::NoLock as i32);
        }
    }
}

enum Replaced {
    Yes,
    /// It has gone, or has been updated by this command already.
    No,
    HasLaterVersion,
}

#[cfg(feature = "pg15")]
type Indexes = bool;
#[cfg(not(feature = "pg15"))]
type Indexes = pg_sys::TU_UpdateIndexes::Type;

enum Change {
    Insert,
    /// Which indexes need an entry for the new version.
    Update(Indexes),
}

impl Change {
    /// Whether it is an update, whether any index needs an entry, and whether only those that sum up blocks do.
    fn of_indexes(&self) -> (bool, bool, bool) {
        match *self {
            Change::Insert => (false, true, false),
            #[cfg(feature = "pg15")]
            Change::Update(needed) => (true, needed, false),
            #[cfg(not(feature = "pg15"))]
            Change::Update(needed) => {
                (true, needed != pg_sys::TU_UpdateIndexes::TU_None, needed == pg_sys::TU_UpdateIndexes::TU_Summarizing)
            }
        }
    }
}

/// A unique index of a single bigint column.
#[derive(Clone, Copy)]
pub struct Key {
    pub index: &'static CStr,
    pub column: &'static CStr,
}

/// The rows of a table by key, as the statement's snapshot shows them.
struct Rows {
    table: Relation,
    key: Key,
    column: AttrNumber,
    /// How many blocks the table has at least: nobody can cut it while it is open.
    blocks: u32,
    slot: *mut TupleTableSlot,
    scan: Option<Scan>,
}

impl Rows {
    unsafe fn open(table: Relation, key: Key) -> Rows {
        // SAFETY: the table is open.
        unsafe {
            let column = attribute(table, key.column);
            let blocks = pg_sys::RelationGetNumberOfBlocksInFork(table, pg_sys::ForkNumber::MAIN_FORKNUM);
            Rows { table, key, column, blocks, slot: pg_sys::table_slot_create(table, null_mut()), scan: None }
        }
    }

    /// The row with a key, all of its columns taken apart, until the next is looked for.
    unsafe fn find(&mut self, key: i64) -> Option<*mut TupleTableSlot> {
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

    unsafe fn close(self) {
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
mod places {
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

unsafe fn open(name: &CStr, lock: u32) -> Relation {
    // SAFETY: look-ups in catalogs; an unknown table is an error.
    unsafe {
        let schema = pg_sys::get_namespace_oid(c"tasker".as_ptr(), false);
        pg_sys::table_open(pg_sys::get_relname_relid(name.as_ptr(), schema), lock as i32)
    }
}

unsafe fn attribute(table: Relation, name: &CStr) -> AttrNumber {
    // SAFETY: a look-up in a catalog.
    match unsafe { pg_sys::get_attnum((*table).rd_id, name.as_ptr()) } {
        0 => error!("column {name:?} is missing"),
        number => number,
    }
}

/// What a row has in a column of this type that is never null.
unsafe fn bigint(slot: *mut TupleTableSlot, column: AttrNumber) -> i64 {
    // SAFETY: the slot holds a row, taken apart.
    unsafe { (*(*slot).tts_values.add((column - 1) as usize)).value() as i64 }
}

/// Whether a write is nothing but rows of a heap, CHECK constraints and entries of indexes.
unsafe fn is_plain(table: Relation) -> bool {
    // SAFETY: the table is open.
    unsafe {
        let kind = &*(*table).rd_rel;
        let constraints = (*(*table).rd_att).constr.as_ref();
        (*table).trigdesc.is_null()
            && (*table).rd_rules.is_null()
            && !kind.relrowsecurity
            && kind.relkind == pg_sys::RELKIND_RELATION as i8
            && !kind.relispartition
            && kind.relam == pg_sys::HEAP_TABLE_AM_OID
            && !constraints.is_some_and(|constraints| constraints.has_generated_stored)
    }
}
