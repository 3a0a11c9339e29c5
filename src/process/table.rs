//! Rows of our own tables and of queues past the executor, many in one call and with no plan to begin: read by key, appended by
//! `heap_multi_insert` as COPY does, or updated by key. CHECK constraints and indexes are kept as the executor keeps them.
//! What else a write may set off (triggers, rules, row security, generated columns) is not known here, so a table with
//! any of it is written by the executor (`executor`), by statements made of the same columns and values.

mod checks;
mod executor;
pub mod index;
mod past;
pub mod read;

use std::ffi::CStr;
use std::ptr::null_mut;

use pgrx::direct_function_call;
use pgrx::pg_sys::{AttrNumber, Datum, FunctionCallInfo, ItemPointerData, Oid, Relation, TupleTableSlot};
use pgrx::prelude::*;

use self::past::Past;
use self::read::{Key, Values, values};
use super::values::{Elements, elements};
use super::wake;
use crate::error::{Error, raise};

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

    /// The same for all rows.
    pub fn one(value: Option<Datum>) -> Column {
        value.map_or(Column::Null, Column::One)
    }

    /// A text, the same for all rows.
    pub fn text(value: &str) -> Column {
        Column::one(value.into_datum())
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
            Column::Next(sequence) => next(*sequence),
        }
    }
}

/// The next number of a sequence.
pub fn next(sequence: Oid) -> Option<Datum> {
    // SAFETY: a sequence that does not exist is an error.
    unsafe { direct_function_call::<i64>(pg_sys::nextval_oid, &[sequence.into_datum()]).into_datum() }
}

/// Writes to a table of ours, or to a queue. After an error the server closes what is open.
pub struct Writer {
    relation: Relation,
    columns: Vec<(AttrNumber, Column)>,
}

impl Writer {
    /// # Safety
    /// In a statement, and used before it ends.
    pub unsafe fn open(name: &CStr) -> Writer {
        // SAFETY: see there.
        unsafe { Writer::open_in(c"tasker", name) }
    }

    /// # Safety
    /// In a statement, and used before it ends.
    pub unsafe fn open_in(schema: &CStr, name: &CStr) -> Writer {
        // SAFETY: look-ups in catalogs; an unknown table is an error.
        unsafe {
            pg_sys::PreventCommandIfReadOnly(c"INSERT".as_ptr());
            Writer { relation: open_in(schema, name, pg_sys::RowExclusiveLock), columns: Vec::new() }
        }
    }

    /// Says what a column gets; `None`: what it gets if it is not named.
    ///
    /// # Safety
    /// The values are of the column's type.
    pub unsafe fn set(mut self, name: &CStr, column: impl Into<Option<Column>>) -> Writer {
        if let Some(column) = column.into() {
            // SAFETY: the table is open.
            self.columns.push((unsafe { attribute(self.relation, name) }, column));
        }
        self
    }

    /// Gives an identity column the numbers of its sequence, which has this name if nobody has changed it.
    ///
    /// # Safety
    /// The column is an identity column.
    pub unsafe fn number(self, name: &CStr, sequence: &CStr) -> Writer {
        // SAFETY: see there.
        unsafe {
            let sequence = self.sequence(name, sequence);
            self.set(name, Column::Next(sequence))
        }
    }

    /// So many of these numbers.
    ///
    /// # Safety
    /// The column is an identity column.
    pub unsafe fn numbers(&self, name: &CStr, sequence: &CStr, count: usize) -> Elements {
        // SAFETY: see there.
        unsafe {
            let sequence = self.sequence(name, sequence);
            (0..count).map(|_| next(sequence)).collect()
        }
    }

    unsafe fn sequence(&self, name: &CStr, sequence: &CStr) -> Oid {
        // SAFETY: the table is open; a column that is none is an error.
        unsafe {
            // By its name first: to ask the column reads the catalog of dependencies, 27,000 instructions.
            let mut id = pg_sys::get_relname_relid(sequence.as_ptr(), (*(*self.relation).rd_rel).relnamespace);
            if id == Oid::INVALID {
                let column = attribute(self.relation, name);
                #[cfg(any(feature = "pg15", feature = "pg16"))]
                let own = pg_sys::getIdentitySequence((*self.relation).rd_id, column, false);
                #[cfg(not(any(feature = "pg15", feature = "pg16")))]
                let own = pg_sys::getIdentitySequence(self.relation, column, false);
                id = own;
            }
            id
        }
    }

    /// Appends as many rows as the columns with a value for each row have. Where the rows have a key they will be found by it
    /// without the index. Says whether that went past the executor.
    pub fn append(self, key: Option<Key>) -> bool {
        let rows = self.columns.iter().find_map(|(_, column)| match column {
            Column::Each(values) => Some(values.len()),
            _ => None,
        });
        // SAFETY: the table is open, and the values are of its columns' types.
        unsafe {
            let wakes = only_wakes(self.relation);
            let has_others = !wakes && !(*self.relation).trigdesc.is_null();
            let past = has_plain_rows(self.relation) && !has_others && self.knows_defaults();
            if past && wakes {
                wake::_wake();
            }
            match rows.unwrap_or_default() {
                0 => {}
                rows if past => Past::open(&self).append(rows, key),
                rows => executor::insert(&self, rows),
            }
            self.close();
            past
        }
    }

    /// Whether each column that is not named is null in a new row. Else only the executor knows what it gets.
    unsafe fn knows_defaults(&self) -> bool {
        // SAFETY: the table is open.
        unsafe {
            let Some(constraints) = (*(*self.relation).rd_att).constr.as_ref() else { return true };
            (0..constraints.num_defval.into())
                .map(|n| (*constraints.defval.add(n)).adnum)
                .all(|column| self.columns.iter().any(|(named, _)| *named == column))
        }
    }

    /// Updates the rows with these keys. As UPDATE does it: a key that has no row is passed over, of several updates of a row
    /// only one is made, a row that is locked is waited for, and of one that has been changed since, its last version is
    /// updated. Says whether that went past the executor.
    ///
    /// # Safety
    /// The keys are bigints, and the index is one of the table's.
    pub unsafe fn update(self, key: Key, keys: &[Option<Datum>]) -> bool {
        // SAFETY: see above.
        unsafe {
            let past = is_plain(self.relation);
            if past {
                Past::open(&self).update(key, keys, |_, _| true, |_, _| ());
            } else {
                executor::update(&self, key, keys, None);
            }
            self.close();
            past
        }
    }

    /// The same; returns the keys of those rows in which an integer column has become 0.
    ///
    /// # Safety
    /// As there.
    pub unsafe fn update_to_zero(self, key: Key, keys: &[Option<Datum>], column: &CStr) -> Vec<Datum> {
        // SAFETY: see above.
        unsafe {
            let zeros = if is_plain(self.relation) {
                let (key_column, column) = (attribute(self.relation, key.column), attribute(self.relation, column));
                let mut zeros = Vec::new();
                Past::open(&self).update(
                    key,
                    keys,
                    |_, _| true,
                    |_, row| {
                        if datum(row, column).value() as i32 == 0 {
                            zeros.push(datum(row, key_column));
                        }
                    },
                );
                zeros
            } else {
                executor::update(&self, key, keys, Some(column))
            };
            self.close();
            zeros
        }
    }

    /// Updates those of the rows in which some columns are as they should be, also after somebody else has changed them: says of
    /// each key whether its row was updated. `holds` gets the place of the key as well. None, and nothing is done, where only the
    /// executor knows how to.
    ///
    /// # Safety
    /// As there.
    pub unsafe fn update_where<const N: usize>(
        self,
        key: Key,
        keys: &[Option<Datum>],
        columns: [&CStr; N],
        mut holds: impl FnMut(usize, Values<N>) -> bool,
    ) -> Option<Vec<bool>> {
        // SAFETY: see above.
        unsafe {
            let is_updated = is_plain(self.relation).then(|| {
                let columns = columns.map(|name| attribute(self.relation, name));
                let mut is_updated = vec![false; keys.len()];
                let wanted = |place, row| holds(place, values(row, columns));
                Past::open(&self).update(key, keys, wanted, |place, _| is_updated[place] = true);
                is_updated
            });
            self.close();
            is_updated
        }
    }

    unsafe fn close(self) {
        // SAFETY: opened in `open`.
        unsafe { pg_sys::table_close(self.relation, pg_sys::NoLock as i32) };
    }
}

/// Whether rows of a table can be removed past the executor.
///
/// # Safety
/// In a statement.
pub unsafe fn can_remove(name: &CStr) -> bool {
    // SAFETY: what does not exist is an error; what is opened is closed.
    unsafe {
        let table = open(name, pg_sys::RowExclusiveLock);
        let is_plain = is_plain(table);
        pg_sys::table_close(table, pg_sys::NoLock as i32);
        is_plain
    }
}

/// Removes the rows in these places, where the statement's snapshot, or that of one around it, has shown them. Says of each whether
/// it was still there; waits for who is changing it.
///
/// # Safety
/// In a statement.
pub unsafe fn remove(name: &CStr, places: &[ItemPointerData]) -> Vec<bool> {
    // SAFETY: see above; what is opened is closed.
    unsafe {
        let table = open(name, pg_sys::RowExclusiveLock);
        pg_sys::CheckCmdReplicaIdentity(table, pg_sys::CmdType::CMD_DELETE);
        let removed = places.iter().map(|place| delete(table, *place) == pg_sys::TM_Result::TM_Ok).collect();
        pg_sys::table_close(table, pg_sys::NoLock as i32);
        removed
    }
}

/// Deletes the row in a place, as the executor does.
///
/// # Safety
/// In a statement, with the table open for it.
pub unsafe fn delete(table: Relation, mut place: ItemPointerData) -> pg_sys::TM_Result::Type {
    check_for_interrupts!();
    // SAFETY: see above.
    unsafe {
        let (command, snapshot) = (pg_sys::GetCurrentCommandId(true), pg_sys::GetActiveSnapshot());
        let mut failure = pg_sys::TM_FailureData::default();
        let no_crosscheck = null_mut();
        pg_sys::table_tuple_delete(
            table,
            &raw mut place,
            command,
            snapshot,
            no_crosscheck,
            true,
            &raw mut failure,
            false,
        )
    }
}

unsafe fn open(name: &CStr, lock: u32) -> Relation {
    // SAFETY: see there.
    unsafe { open_in(c"tasker", name, lock) }
}

unsafe fn open_in(schema: &CStr, name: &CStr, lock: u32) -> Relation {
    // SAFETY: look-ups in catalogs; an unknown table is an error.
    unsafe {
        let id = pg_sys::get_relname_relid(name.as_ptr(), pg_sys::get_namespace_oid(schema.as_ptr(), false));
        let table = if id == Oid::INVALID { null_mut() } else { pg_sys::try_table_open(id, lock as i32) };
        if !table.is_null() {
            return table;
        }
        // It may have been made again meanwhile. If not, this says so.
        let name = pg_sys::makeRangeVar(schema.as_ptr().cast_mut(), name.as_ptr().cast_mut(), -1);
        pg_sys::table_openrv(name, lock as i32)
    }
}

unsafe fn attribute(table: Relation, name: &CStr) -> AttrNumber {
    // SAFETY: the table is open.
    unsafe { named(table, name) }.map_or_else(|| error!("column {name:?} is missing"), |column| column.attnum)
}

/// The column of this name, if it is of this type.
///
/// # Safety
/// The table is open.
pub unsafe fn column(table: Relation, name: &CStr, of_type: Oid) -> Option<AttrNumber> {
    // SAFETY: see above.
    unsafe { named(table, name) }.filter(|column| column.atttypid == of_type).map(|column| column.attnum)
}

unsafe fn named<'a>(table: Relation, name: &CStr) -> Option<&'a pg_sys::FormData_pg_attribute> {
    // SAFETY: the table is open. Its description is at hand, where a look into the catalog takes 600 instructions.
    unsafe {
        (1..=(*(*table).rd_att).natts as AttrNumber)
            .map(|number| description(table, number))
            .find(|column| !column.attisdropped && CStr::from_ptr(column.attname.data.as_ptr()) == name)
    }
}

/// What the catalog says of a column.
unsafe fn description<'a>(table: Relation, column: AttrNumber) -> &'a pg_sys::FormData_pg_attribute {
    // SAFETY: the table is open, and has so many.
    unsafe {
        let (columns, place) = ((*table).rd_att, i32::from(column) - 1);
        #[cfg(feature = "pg18")]
        let column = &*pg_sys::TupleDescAttr(columns, place);
        #[cfg(not(feature = "pg18"))]
        let column = &*(*columns).attrs.as_ptr().add(place as usize);
        column
    }
}

/// What a row has in a column that is never null.
///
/// # Safety
/// The slot holds a row of the table's, taken apart.
unsafe fn datum(slot: *mut TupleTableSlot, column: AttrNumber) -> Datum {
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
    unsafe { (*table).trigdesc.is_null() && has_plain_rows(table) }
}

/// The same, whatever triggers it may have.
///
/// # Safety
/// The table is open.
pub unsafe fn has_plain_rows(table: Relation) -> bool {
    // SAFETY: see above.
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
        (*table).rd_rules.is_null()
            && !kind.relrowsecurity
            && kind.relkind == pg_sys::RELKIND_RELATION as i8
            && !kind.relispartition
            && kind.relam == pg_sys::HEAP_TABLE_AM_OID
            && !constraints.is_some_and(has_generated)
    }
}

/// Whether all that a table has of triggers is the one that wakes the orchestrators, once a statement that inserts.
unsafe fn only_wakes(table: Relation) -> bool {
    // SAFETY: the table is open; what comes back of catalogs is this call's.
    unsafe {
        (*table).trigdesc.as_ref().is_some_and(|triggers| {
            let trigger = &*triggers.triggers;
            let name = pg_sys::get_func_name(trigger.tgfoid);
            triggers.numtriggers == 1
                && !name.is_null()
                && CStr::from_ptr(name) == c"_wake_trigger"
                && pg_sys::get_func_namespace(trigger.tgfoid) == pg_sys::get_namespace_oid(c"tasker".as_ptr(), false)
        })
    }
}
