//! Rows of our own tables past the executor, many in one call and with no plan to begin: read by key, appended by
//! `heap_multi_insert` as COPY does, or updated by key as logical replication applies changes. CHECK constraints and
//! indexes are the server's business in both; triggers, rules and row security are not, so a table with one of them is
//! left to the executor.

use std::ffi::CStr;
use std::ptr::null_mut;

use pgrx::direct_function_call;
use pgrx::pg_sys::{AttrNumber, Datum, EState, Oid, Relation, ResultRelInfo, ScanKeyData, TupleTableSlot};
use pgrx::prelude::*;

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

/// A table of schema `tasker` that is written to. After an error the server closes what is open.
pub struct Table {
    relation: Relation,
    target: *mut ResultRelInfo,
    state: *mut EState,
    columns: Vec<(AttrNumber, Column)>,
}

impl Table {
    /// `None` where somebody has put a trigger, a rule or row security on the table: the executor must write then.
    ///
    /// # Safety
    /// In a transaction; closed before its statement ends.
    pub unsafe fn open(name: &CStr) -> Option<Table> {
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
            Some(Table { relation, target, state, columns: Vec::new() })
        }
    }

    /// Says what a column gets; `None`: what it gets if it is not named.
    ///
    /// # Safety
    /// The values are of the column's type.
    pub unsafe fn set(mut self, name: &CStr, column: Option<Column>) -> Table {
        if let Some(column) = column {
            // SAFETY: the table is open.
            self.columns.push((unsafe { self.attribute(name) }, column));
        }
        self
    }

    /// Gives a column the numbers of a sequence.
    ///
    /// # Safety
    /// The column is a bigint.
    pub unsafe fn number(self, name: &CStr, sequence: &CStr) -> Table {
        // SAFETY: a sequence that does not exist is an error when it is asked.
        unsafe {
            // By its name: to ask for the column's own reads the catalog of dependencies, 27,000 instructions.
            let sequence = pg_sys::get_relname_relid(sequence.as_ptr(), (*(*self.relation).rd_rel).relnamespace);
            self.set(name, Some(Column::Next(sequence)))
        }
    }

    unsafe fn attribute(&self, name: &CStr) -> AttrNumber {
        // SAFETY: the table is open.
        unsafe { attribute(self.relation, name) }
    }

    /// Appends as many rows as the columns with a value for each row have, and closes the table.
    pub fn append(self) {
        let rows = self.columns.iter().find_map(|(_, column)| match column {
            Column::Each(values) => Some(values.len()),
            _ => None,
        });
        let rows = rows.unwrap_or_default();
        // SAFETY: the table is open and plain, and the slots have a place for each of its columns.
        unsafe {
            for first in (0..rows).step_by(PORTION) {
                let mut slots: Vec<_> = (first..rows.min(first + PORTION)).map(|row| self.appended(row)).collect();
                for slot in &slots {
                    pg_sys::ExecConstraints(self.target, *slot, self.state);
                }
                let command = pg_sys::GetCurrentCommandId(true);
                pg_sys::heap_multi_insert(
                    self.relation,
                    slots.as_mut_ptr(),
                    slots.len() as i32,
                    command,
                    0,
                    null_mut(),
                );
                for slot in slots {
                    self.index(slot);
                    pg_sys::ExecDropSingleTupleTableSlot(slot);
                }
                self.forget_row();
            }
        }
        self.close();
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

    /// Updates the rows with these keys of an index, of a single bigint column and unique, and closes the table. A key
    /// that has no row is passed over. A row that is locked is waited for; one that has been changed since is an error.
    ///
    /// # Safety
    /// The index is one of the table's.
    pub unsafe fn update(self, index: &CStr, keys: &[Option<Datum>]) {
        // SAFETY: the table is open and plain, and the slots have a place for each of its columns.
        unsafe {
            let mut rows = Rows::open(self.relation, index);
            let new = pg_sys::MakeSingleTupleTableSlot((*self.relation).rd_att, &raw const pg_sys::TTSOpsVirtual);
            for (row, key) in keys.iter().enumerate() {
                if let Some(old) = key.and_then(|key| rows.find(key)) {
                    (*new).tts_values.copy_from_nonoverlapping((*old).tts_values, self.width());
                    (*new).tts_isnull.copy_from_nonoverlapping((*old).tts_isnull, self.width());
                    self.fill(new, row);
                    pg_sys::ExecSimpleRelationUpdate(self.target, self.state, null_mut(), old, new);
                    pg_sys::ExecClearTuple(new);
                    self.forget_row();
                }
            }
            pg_sys::ExecDropSingleTupleTableSlot(new);
            rows.close();
        }
        self.close();
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

    unsafe fn index(&self, slot: *mut TupleTableSlot) {
        // SAFETY: the slot's row has been inserted, and the indexes are open.
        unsafe {
            #[cfg(feature = "pg15")]
            pg_sys::ExecInsertIndexTuples(self.target, slot, self.state, false, false, null_mut(), null_mut());
            #[cfg(not(feature = "pg15"))]
            pg_sys::ExecInsertIndexTuples(self.target, slot, self.state, false, false, null_mut(), null_mut(), false);
        }
    }

    fn width(&self) -> usize {
        // SAFETY: the table is open.
        unsafe { (*(*self.relation).rd_att).natts as usize }
    }

    /// Frees what constraints and indexes have computed.
    fn forget_row(&self) {
        // SAFETY: nothing of it is used any more.
        unsafe {
            if let Some(context) = (*self.state).es_per_tuple_exprcontext.as_ref() {
                pg_sys::MemoryContextReset(context.ecxt_per_tuple_memory);
            }
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

/// The rows of a table by a unique index of a single bigint column, as the statement's snapshot shows them.
struct Rows {
    index: Relation,
    scan: pg_sys::IndexScanDesc,
    key: ScanKeyData,
    slot: *mut TupleTableSlot,
}

impl Rows {
    unsafe fn open(table: Relation, index: &CStr) -> Rows {
        // SAFETY: the table is open; an unknown index is an error.
        unsafe {
            let schema = (*(*table).rd_rel).relnamespace;
            let id = pg_sys::get_relname_relid(index.as_ptr(), schema);
            let index = pg_sys::index_open(id, pg_sys::AccessShareLock as i32);
            let snapshot = pg_sys::GetActiveSnapshot();
            #[cfg(not(feature = "pg18"))]
            let scan = pg_sys::index_beginscan(table, index, snapshot, 1, 0);
            #[cfg(feature = "pg18")]
            let scan = pg_sys::index_beginscan(table, index, snapshot, null_mut(), 1, 0);
            let mut key = ScanKeyData::default();
            let equal = pg_sys::BTEqualStrategyNumber as u16;
            pg_sys::ScanKeyInit(&raw mut key, 1, equal, pg_sys::F_INT8EQ.into(), Datum::null());
            Rows { index, scan, key, slot: pg_sys::table_slot_create(table, null_mut()) }
        }
    }

    /// The row with a key, all of its columns taken apart, until the next is looked for.
    unsafe fn find(&mut self, key: Datum) -> Option<*mut TupleTableSlot> {
        self.key.sk_argument = key;
        // SAFETY: the scan is open, and the key a bigint.
        unsafe {
            pg_sys::index_rescan(self.scan, &raw mut self.key, 1, null_mut(), 0);
            if !pg_sys::index_getnext_slot(self.scan, pg_sys::ScanDirection::ForwardScanDirection, self.slot) {
                return None;
            }
            pg_sys::slot_getallattrs(self.slot);
        }
        Some(self.slot)
    }

    unsafe fn close(self) {
        // SAFETY: opened in `open`.
        unsafe {
            pg_sys::ExecDropSingleTupleTableSlot(self.slot);
            pg_sys::index_endscan(self.scan);
            pg_sys::index_close(self.index, pg_sys::NoLock as i32);
        }
    }
}

/// Some columns of the rows of a table of schema `tasker`, by key.
pub struct Reader<const N: usize> {
    table: Relation,
    rows: Rows,
    columns: [AttrNumber; N],
}

impl<const N: usize> Reader<N> {
    /// By a unique index of a single bigint column.
    ///
    /// # Safety
    /// In a statement; closed before it ends.
    pub unsafe fn open(table: &CStr, index: &CStr, columns: [&CStr; N]) -> Reader<N> {
        // SAFETY: what does not exist is an error.
        unsafe {
            let table = open(table, pg_sys::AccessShareLock);
            let columns = columns.map(|name| attribute(table, name));
            Reader { table, rows: Rows::open(table, index), columns }
        }
    }

    /// The columns of the row with a key. What they point to is there until the next is looked for.
    pub fn find(&mut self, key: i64) -> Option<[Option<Datum>; N]> {
        // SAFETY: the slot has a place for each column of the table.
        unsafe {
            let slot = self.rows.find(key.into())?;
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

/// Whether a write is nothing but rows and entries of indexes.
unsafe fn is_plain(table: Relation) -> bool {
    // SAFETY: the table is open.
    unsafe {
        (*table).trigdesc.is_null()
            && (*table).rd_rules.is_null()
            && !(*(*table).rd_rel).relrowsecurity
            && (*(*table).rd_rel).relkind == pg_sys::RELKIND_RELATION as i8
    }
}
