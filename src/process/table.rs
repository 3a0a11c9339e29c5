//! Rows of our own tables past the executor, many in one call and with no plan to begin: read by key, appended by
//! `heap_multi_insert` as COPY does, or updated by key. CHECK constraints and indexes are kept as the executor keeps them.
//! What else a write may set off (triggers, rules, row security, generated columns) is not known here, so a table with
//! any of it is left to the executor (`executor`).

mod checks;
pub mod executor;
pub mod read;

use std::ffi::CStr;
use std::ptr::null_mut;

use pgrx::direct_function_call;
use pgrx::fcinfo::pg_getarg_datum;
use pgrx::pg_sys::{AttrNumber, Datum, EState, FunctionCallInfo, Oid, Relation, ResultRelInfo, TupleTableSlot};
use pgrx::prelude::*;

use self::read::{Key, Rows, places};
use super::values::elements;
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
    /// An integer: so much more than it was, for each row.
    More(Vec<i32>),
}

impl Column {
    /// The elements of an argument that is an array; `None` where it is NULL.
    ///
    /// # Safety
    /// They are of this type.
    pub unsafe fn each(fcinfo: FunctionCallInfo, argument: usize, element: Oid) -> Option<Column> {
        // SAFETY: see above.
        unsafe { elements(fcinfo, argument, element).map(Column::Each) }
    }

    /// An argument, the same for all rows; `None` where it is NULL.
    ///
    /// # Safety
    /// The function has so many.
    pub unsafe fn one(fcinfo: FunctionCallInfo, argument: usize) -> Option<Column> {
        // SAFETY: see above.
        unsafe { pg_getarg_datum(fcinfo, argument).map(Column::One) }
    }

    /// What a row gets, which had `old`.
    fn value(&self, row: usize, old: Datum) -> Option<Datum> {
        match self {
            Column::Null => None,
            Column::One(value) => Some(*value),
            Column::Each(values) => values.get(row).copied().flatten(),
            Column::More(more) => {
                let more = more.get(row).copied().unwrap_or_default();
                Some((old.value() as i32).checked_add(more).unwrap_or_else(|| raise(Error::NumberRange)).into())
            }
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
            pg_sys::PreventCommandIfReadOnly(c"INSERT".as_ptr());
            let relation = open(name, pg_sys::RowExclusiveLock);
            if !is_plain(relation) {
                pg_sys::table_close(relation, pg_sys::NoLock as i32);
                return None;
            }
            let state = pg_sys::CreateExecutorState();
            let target = pg_sys::palloc0(size_of::<ResultRelInfo>()).cast();
            pg_sys::InitResultRelInfo(target, relation, 0, null_mut(), 0);
            pg_sys::ExecOpenIndices(target, false);
            checks::prepare(target, state);
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

    /// # Safety
    /// The table is open.
    pub unsafe fn attribute(&self, name: &CStr) -> AttrNumber {
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
        let done = self.knows_defaults();
        let rows = if done { rows.unwrap_or_default() } else { 0 };
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
        self.close();
        done
    }

    /// Whether each column that is not named is null in a new row. Else only the executor knows what it gets.
    pub fn knows_defaults(&self) -> bool {
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
        // SAFETY: see there.
        unsafe { self.update_and(key, keys, |_| ()) };
    }

    /// The same, and shows each new version.
    ///
    /// # Safety
    /// As there; what is shown is there for the moment.
    pub unsafe fn update_and(self, key: Key, keys: &[Option<Datum>], mut show: impl FnMut(*mut TupleTableSlot)) {
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
                        Replaced::Yes => {
                            places::note(self.relation, key, (*new).tts_tid);
                            show(new);
                            break;
                        }
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
                let place = (*number - 1) as usize;
                let value = column.value(row, *(*slot).tts_values.add(place));
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

    pub fn close(self) {
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

unsafe fn open(name: &CStr, lock: u32) -> Relation {
    // SAFETY: look-ups in catalogs; an unknown table is an error.
    unsafe {
        let schema = pg_sys::get_namespace_oid(c"tasker".as_ptr(), false);
        pg_sys::table_open(pg_sys::get_relname_relid(name.as_ptr(), schema), lock as i32)
    }
}

unsafe fn attribute(table: Relation, name: &CStr) -> AttrNumber {
    // SAFETY: the table is open. Its description is at hand, where a look into the catalog takes 600 instructions.
    unsafe {
        let columns = (*table).rd_att;
        (0..(*columns).natts)
            .map(|place| {
                #[cfg(feature = "pg18")]
                let column = &*pg_sys::TupleDescAttr(columns, place);
                #[cfg(not(feature = "pg18"))]
                let column = &*(*columns).attrs.as_ptr().add(place as usize);
                column
            })
            .find(|column| !column.attisdropped && CStr::from_ptr(column.attname.data.as_ptr()) == name)
            .map(|column| column.attnum)
            .unwrap_or_else(|| error!("column {name:?} is missing"))
    }
}

/// What a row has in a column that is never null.
///
/// # Safety
/// The slot holds a row of the table's, taken apart.
pub unsafe fn datum(slot: *mut TupleTableSlot, column: AttrNumber) -> Datum {
    // SAFETY: see above.
    unsafe { *(*slot).tts_values.add((column - 1) as usize) }
}

/// The same of a bigint.
unsafe fn bigint(slot: *mut TupleTableSlot, column: AttrNumber) -> i64 {
    // SAFETY: see there.
    unsafe { datum(slot, column).value() as i64 }
}

/// Whether a write is nothing but rows of a heap, CHECK constraints and entries of indexes.
unsafe fn is_plain(table: Relation) -> bool {
    // SAFETY: the table is open.
    unsafe {
        let kind = &*(*table).rd_rel;
        let constraints = (*(*table).rd_att).constr.as_ref();
        let has_generated = |constraints: &pg_sys::TupleConstr| {
            #[cfg(feature = "pg18")]
            let is_virtual = constraints.has_generated_virtual;
            #[cfg(not(feature = "pg18"))]
            let is_virtual = false;
            constraints.has_generated_stored || is_virtual
        };
        (*table).trigdesc.is_null()
            && (*table).rd_rules.is_null()
            && !kind.relrowsecurity
            && kind.relkind == pg_sys::RELKIND_RELATION as i8
            && !kind.relispartition
            && kind.relam == pg_sys::HEAP_TABLE_AM_OID
            && !constraints.is_some_and(has_generated)
    }
}
