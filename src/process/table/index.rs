//! Rows by an index's first columns, as the statement's snapshot shows them.

use std::ffi::CStr;
use std::ptr::null_mut;

use pgrx::pg_sys::{AttrNumber, Datum, ItemPointerData, Oid, Relation, ScanKeyData, TupleTableSlot};
use pgrx::prelude::*;

use super::read::{Values, is_touched, values};
use super::{attribute, open, open_in};

/// How columns of indexes are compared.
#[derive(Clone, Copy)]
pub struct Operator {
    function: Oid,
    strategy: u16,
}

impl Operator {
    pub const BIGINT_IS: Operator = Operator::new(pg_sys::F_INT8EQ, pg_sys::BTEqualStrategyNumber);
    pub const INTEGER_IS: Operator = Operator::new(pg_sys::F_INT4EQ, pg_sys::BTEqualStrategyNumber);
    pub const SMALLINT_IS: Operator = Operator::new(pg_sys::F_INT2EQ, pg_sys::BTEqualStrategyNumber);
    pub const SMALLINT_BELOW: Operator = Operator::new(pg_sys::F_INT2LT, pg_sys::BTLessStrategyNumber);
    pub const TEXT_IS: Operator = Operator::new(pg_sys::F_TEXTEQ, pg_sys::BTEqualStrategyNumber);
    pub const OID_IS: Operator = Operator::new(pg_sys::F_OIDEQ, pg_sys::BTEqualStrategyNumber);
    pub const BIGINT_BELOW: Operator = Operator::new(pg_sys::F_INT8LT, pg_sys::BTLessStrategyNumber);
    pub const BIGINT_UPTO: Operator = Operator::new(pg_sys::F_INT8LE, pg_sys::BTLessEqualStrategyNumber);
    pub const BIGINT_ABOVE: Operator = Operator::new(pg_sys::F_INT8GT, pg_sys::BTGreaterStrategyNumber);
    pub const TIME_FROM: Operator = Operator::new(pg_sys::F_TIMESTAMPTZ_GE, pg_sys::BTGreaterEqualStrategyNumber);
    pub const TIME_AFTER: Operator = Operator::new(pg_sys::F_TIMESTAMPTZ_GT, pg_sys::BTGreaterStrategyNumber);

    const fn new(function: u32, strategy: u32) -> Operator {
        Operator { function: Oid::from_u32(function), strategy: strategy as u16 }
    }
}

/// An end of an index. Where rows come and go in order, those that have gone are at the first.
#[derive(Clone, Copy)]
pub enum End {
    First,
    Last,
}

/// The row at an end of an index, as the statement's snapshot shows it, whose first columns compare like that; of its columns
/// some that are passed by value.
///
/// # Safety
/// In a statement; the values are of the columns' types.
pub unsafe fn at_end<const N: usize>(
    end: End,
    (schema, table): (&CStr, &CStr),
    index: &CStr,
    conditions: &[(Operator, Datum)],
    columns: [&CStr; N],
) -> Option<Values<N>> {
    // SAFETY: what does not exist is an error.
    unsafe {
        let table = open_in(schema, table, pg_sys::AccessShareLock);
        if pg_sys::RelationGetNumberOfBlocksInFork(table, pg_sys::ForkNumber::MAIN_FORKNUM) == 0 {
            pg_sys::table_close(table, pg_sys::NoLock as i32);
            return None;
        }
        let slot = pg_sys::table_slot_create(table, null_mut());
        let (operators, of): (Vec<_>, Vec<_>) = conditions.iter().copied().unzip();
        let mut scan = Scan::open(table, index, &operators);
        scan.begin(&of);
        let found = scan.next(end, slot).then(|| {
            pg_sys::slot_getallattrs(slot);
            values(slot, columns.map(|name| attribute(table, name)))
        });
        scan.close();
        pg_sys::ExecDropSingleTupleTableSlot(slot);
        pg_sys::table_close(table, pg_sys::NoLock as i32);
        found
    }
}

/// A column that is passed by value of the first row of an index whose first columns compare like that, and how many entries of
/// rows that have gone lie before it.
///
/// # Safety
/// In a statement; the values are of the columns' types.
pub unsafe fn first_behind(
    table: &CStr,
    index: &CStr,
    conditions: &[(Operator, Datum)],
    column: &CStr,
) -> (Option<Datum>, usize) {
    // SAFETY: what does not exist is an error.
    unsafe {
        let table = open(table, pg_sys::AccessShareLock);
        let slot = pg_sys::table_slot_create(table, null_mut());
        let (operators, of): (Vec<_>, Vec<_>) = conditions.iter().copied().unzip();
        let mut scan = Scan::open(table, index, &operators);
        scan.begin(&of);
        let mut gone = 0;
        let found = loop {
            check_for_interrupts!();
            if pg_sys::index_getnext_tid(scan.scan, pg_sys::ScanDirection::ForwardScanDirection).is_null() {
                break None;
            }
            if pg_sys::index_fetch_heap(scan.scan, slot) {
                pg_sys::slot_getallattrs(slot);
                let [value] = values(slot, [attribute(table, column)]);
                break value;
            }
            gone += 1;
        };
        scan.close();
        pg_sys::ExecDropSingleTupleTableSlot(slot);
        pg_sys::table_close(table, pg_sys::NoLock as i32);
        (found, gone)
    }
}

/// Whether an index of somebody else's is one of a table, ready, and by this column first.
///
/// # Safety
/// In a transaction.
pub unsafe fn is_index_by((schema, table): (&CStr, &CStr), index: &CStr, column: &CStr) -> bool {
    // SAFETY: look-ups in catalogs; what is opened is closed.
    unsafe {
        let schema = pg_sys::get_namespace_oid(schema.as_ptr(), true);
        let [table, index] = [table, index].map(|name| pg_sys::get_relname_relid(name.as_ptr(), schema));
        if table == Oid::INVALID || index == Oid::INVALID || pg_sys::IndexGetRelation(index, true) != table {
            return false;
        }
        Scan::is_by(index, pg_sys::get_attnum(table, column.as_ptr()))
    }
}

/// Columns of the rows of a table that have something in common: the first columns of an index.
pub struct List<const N: usize> {
    table: Relation,
    slot: *mut TupleTableSlot,
    scan: Scan,
    columns: [AttrNumber; N],
}

impl<const N: usize> List<N> {
    /// The operators compare the columns that they have in common.
    ///
    /// # Safety
    /// In a statement; closed before it ends.
    pub unsafe fn open(table: &CStr, index: &CStr, operators: &[Operator], columns: [&CStr; N]) -> List<N> {
        // SAFETY: what does not exist is an error.
        unsafe {
            let table = open(table, pg_sys::AccessShareLock);
            let slot = pg_sys::table_slot_create(table, null_mut());
            let columns = columns.map(|name| attribute(table, name));
            List { table, slot, scan: Scan::open(table, index, operators), columns }
        }
    }

    /// The values of those columns, in the order of the index.
    ///
    /// # Safety
    /// `of` are of the types of the columns that are compared, and the others of types that are passed by value.
    pub unsafe fn all(&mut self, of: &[Datum]) -> Vec<Values<N>> {
        let mut found = Vec::new();
        // SAFETY: the scan is open.
        unsafe {
            self.begin(of);
            while let Some((values, ..)) = self.next() {
                found.push(values);
            }
        }
        found
    }

    /// Begins with these values of the columns that are compared.
    ///
    /// # Safety
    /// They are of the columns' types.
    pub unsafe fn begin(&mut self, of: &[Datum]) {
        // SAFETY: see above.
        unsafe { self.scan.begin(of) };
    }

    /// The next row: its columns, where it is, and whether somebody may have locked it, or be changing it.
    pub fn next(&mut self) -> Option<(Values<N>, ItemPointerData, bool)> {
        // SAFETY: the scan is open, and the slot is one of the table's.
        unsafe {
            self.scan.next(End::First, self.slot).then(|| {
                pg_sys::slot_getallattrs(self.slot);
                (values(self.slot, self.columns), (*self.slot).tts_tid, is_touched(self.slot))
            })
        }
    }

    /// What `take` makes of the last row that it takes.
    ///
    /// # Safety
    /// As there.
    pub unsafe fn last<T>(&mut self, of: &[Datum], mut take: impl FnMut(Values<N>) -> Option<T>) -> Option<T> {
        // SAFETY: the scan is open.
        unsafe {
            self.scan.begin(of);
            while self.scan.next(End::Last, self.slot) {
                pg_sys::slot_getallattrs(self.slot);
                let taken = take(values(self.slot, self.columns));
                if taken.is_some() {
                    return taken;
                }
            }
            None
        }
    }

    pub fn close(self) {
        // SAFETY: opened in `open`.
        unsafe {
            self.scan.close();
            pg_sys::ExecDropSingleTupleTableSlot(self.slot);
            pg_sys::table_close(self.table, pg_sys::NoLock as i32);
        }
    }
}

/// A scan of the rows whose first columns in an index compare to values.
pub struct Scan {
    index: Relation,
    scan: pg_sys::IndexScanDesc,
    keys: Vec<ScanKeyData>,
}

impl Scan {
    /// The operators compare the first columns.
    pub(super) unsafe fn open(table: Relation, index: &CStr, operators: &[Operator]) -> Scan {
        // SAFETY: the table is open; an unknown index is an error.
        unsafe {
            let id = pg_sys::get_relname_relid(index.as_ptr(), (*(*table).rd_rel).relnamespace);
            Scan::open_by(table, id, (1..).zip(operators.iter().copied()).collect())
        }
    }

    /// The same by the id of the index; each operator compares the column of this number.
    ///
    /// # Safety
    /// In a statement, with the table open; closed before it ends. The index has these columns.
    pub unsafe fn open_by(table: Relation, index: Oid, operators: Vec<(AttrNumber, Operator)>) -> Scan {
        // SAFETY: see above.
        unsafe {
            let index = pg_sys::index_open(index, pg_sys::AccessShareLock as i32);
            let (snapshot, columns) = (pg_sys::GetActiveSnapshot(), operators.len() as i32);
            #[cfg(not(feature = "pg18"))]
            let scan = pg_sys::index_beginscan(table, index, snapshot, columns, 0);
            #[cfg(feature = "pg18")]
            let scan = pg_sys::index_beginscan(table, index, snapshot, null_mut(), columns, 0);
            let mut keys = vec![ScanKeyData::default(); operators.len()];
            for (key, (column, Operator { function, strategy })) in keys.iter_mut().zip(operators) {
                // The order of the index is that of its collation.
                let collation = *(*index).rd_indcollation.add(column as usize - 1);
                let any_type = pg_sys::InvalidOid;
                pg_sys::ScanKeyEntryInitialize(key, 0, column, strategy, any_type, collation, function, Datum::null());
            }
            Scan { index, scan, keys }
        }
    }

    /// Whether an index, if it is one, is by a column first.
    ///
    /// # Safety
    /// In a transaction.
    pub unsafe fn is_by(index: Oid, column: AttrNumber) -> bool {
        if index == Oid::INVALID {
            return false;
        }
        // SAFETY: what is opened is closed.
        unsafe {
            let index = pg_sys::index_open(index, pg_sys::AccessShareLock as i32);
            let about = &*(*index).rd_index;
            let is_by = (*(*index).rd_rel).relam == pg_sys::BTREE_AM_OID
                && about.indisvalid
                && *about.indkey.values.as_ptr() == column;
            pg_sys::index_close(index, pg_sys::NoLock as i32);
            is_by
        }
    }

    /// Begins with these values.
    ///
    /// # Safety
    /// They are of the columns' types.
    pub unsafe fn begin(&mut self, values: &[Datum]) {
        for (key, value) in self.keys.iter_mut().zip(values) {
            key.sk_argument = *value;
        }
        // SAFETY: the scan is open.
        unsafe { pg_sys::index_rescan(self.scan, self.keys.as_mut_ptr(), self.keys.len() as i32, null_mut(), 0) };
    }

    /// Puts the next row, from an end on, into the slot; false where there is none.
    ///
    /// # Safety
    /// The slot is one of the table's.
    pub unsafe fn next(&mut self, from: End, slot: *mut TupleTableSlot) -> bool {
        let direction = match from {
            End::First => pg_sys::ScanDirection::ForwardScanDirection,
            End::Last => pg_sys::ScanDirection::BackwardScanDirection,
        };
        // SAFETY: the scan is open and has begun.
        unsafe { pg_sys::index_getnext_slot(self.scan, direction, slot) }
    }

    /// # Safety
    /// In the statement in which it was opened.
    pub unsafe fn close(self) {
        // SAFETY: opened in `open`.
        unsafe {
            pg_sys::index_endscan(self.scan);
            pg_sys::index_close(self.index, pg_sys::NoLock as i32);
        }
    }
}
