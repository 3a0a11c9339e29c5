//! Rows written past the executor.

use std::cell::Cell;
use std::ptr::null_mut;

use pgrx::pg_sys::{Datum, EState, Relation, ResultRelInfo, TupleTableSlot};
use pgrx::prelude::*;

use super::read::{Key, Rows, places};
use super::{Writer, attribute, bigint, checks};
use crate::error::{Error, raise};

/// So many rows are held in memory at once.
const PORTION: usize = 500;

/// What stands in the executor's place. A write is used up by one of its methods.
pub struct Past<'a> {
    write: &'a Writer,
    relation: Relation,
    target: *mut ResultRelInfo,
    state: *mut EState,
    /// Opened when the first row needs an entry: most updates need none.
    has_indexes: Cell<bool>,
}

impl Past<'_> {
    /// # Safety
    /// The table is plain, and the values are of its columns' types.
    pub unsafe fn open(write: &Writer) -> Past<'_> {
        // SAFETY: the table is open.
        unsafe {
            let relation = write.relation;
            let state = pg_sys::CreateExecutorState();
            let target = pg_sys::palloc0(size_of::<ResultRelInfo>()).cast();
            pg_sys::InitResultRelInfo(target, relation, 0, null_mut(), 0);
            checks::prepare(target, state);
            Past { write, relation, target, state, has_indexes: Cell::new(false) }
        }
    }

    /// # Safety
    /// Each column that is not named is null in a new row.
    pub unsafe fn append(self, rows: usize, key: Option<Key>) {
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

    /// Updates only rows that are `wanted`, and shows each new version, which is there for the moment. Both get the place of the
    /// row's key as well.
    ///
    /// # Safety
    /// The keys are bigints, and the index is one of the table's.
    pub unsafe fn update(
        self,
        key: Key,
        keys: &[Option<Datum>],
        mut wanted: impl FnMut(usize, *mut TupleTableSlot) -> bool,
        mut show: impl FnMut(usize, *mut TupleTableSlot),
    ) {
        // SAFETY: the table is open and plain, and the slots have a place for each of its columns.
        unsafe {
            pg_sys::CheckCmdReplicaIdentity(self.relation, pg_sys::CmdType::CMD_UPDATE);
            let mut rows = Rows::open(self.relation, key);
            let new = pg_sys::MakeSingleTupleTableSlot((*self.relation).rd_att, &raw const pg_sys::TTSOpsVirtual);
            for (row, key) in keys.iter().enumerate() {
                check_for_interrupts!();
                let Some(key) = key.map(|key| key.value() as i64) else { continue };
                let Some(old) = rows.find(key) else { continue };
                while wanted(row, old) {
                    match self.replace(old, new, row) {
                        Replaced::Yes => {
                            places::note(self.relation, key, (*new).tts_tid);
                            show(row, new);
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
            for (number, column) in &self.write.columns {
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
        // SAFETY: the slot's row has been written.
        unsafe {
            if !self.has_indexes.replace(true) {
                let context = pg_sys::MemoryContextSwitchTo((*self.state).es_query_cxt);
                pg_sys::ExecOpenIndices(self.target, false);
                pg_sys::MemoryContextSwitchTo(context);
            }
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
        // SAFETY: made in `open`.
        unsafe {
            if self.has_indexes.get() {
                pg_sys::ExecCloseIndices(self.target);
            }
            pg_sys::FreeExecutorState(self.state);
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
