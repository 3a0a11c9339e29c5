//! Rows for a table of ours that only grows, many at once and past the executor: `heap_multi_insert`, as COPY does, writes
//! one record to the write-ahead log for all rows of a page.

use std::ffi::CStr;
use std::ptr::{null_mut, slice_from_raw_parts};

use pgrx::direct_function_call;
use pgrx::fcinfo::pg_getarg_datum;
use pgrx::pg_sys::{AttrNumber, Datum, FunctionCallInfo, Oid, Relation, TupleTableSlot};
use pgrx::prelude::*;

/// So many rows are held in memory at once.
const PORTION: usize = 500;

/// What a column gets. Columns that are not named stay null.
enum Column {
    /// The same in all rows.
    One(Datum),
    /// One for each row; `None` is null.
    Each(Vec<Option<Datum>>),
    /// The next number of the column's own sequence.
    Identity(Oid),
}

/// Writes transitions of steps, one for each id; `attempts` and `from_states` have as many elements, `metadata` and
/// `took_ms` too, or are NULL. False, and nothing is written, where somebody has put a trigger, a rule or row security on
/// the table: the executor must do it then.
#[pg_extern(
    volatile,
    sql = "create function tasker._append_step_transitions(step_ids bigint[], at timestamptz, attempts integer[], from_states text[], to_state text, metadata jsonb[], took_ms integer[]) returns boolean volatile language c as 'MODULE_PATHNAME', '@FUNCTION_NAME@';"
)]
fn _append_step_transitions(fcinfo: FunctionCallInfo) -> bool {
    // SAFETY: the function is declared with these types; the table is closed before an error can be caught, or by it.
    unsafe {
        let table = open(c"step_transitions");
        if !is_plain(table) {
            pg_sys::table_close(table, pg_sys::NoLock as i32);
            return false;
        }
        let each = |argument, element| elements(fcinfo, argument, element).map(Column::Each);
        let one = |argument| pg_getarg_datum(fcinfo, argument).map(Column::One);
        let number = attribute(table, c"step_transition_id");
        let columns = [
            (c"step_id", each(0, pg_sys::INT8OID)),
            (c"created_at", one(1)),
            (c"attempt", each(2, pg_sys::INT4OID)),
            (c"from_state", each(3, pg_sys::TEXTOID)),
            (c"to_state", one(4)),
            (c"actor", session_user().map(Column::One)),
            (c"metadata", each(5, pg_sys::JSONBOID)),
            (c"execution_time_ms", each(6, pg_sys::INT4OID)),
        ];
        let mut columns: Vec<(AttrNumber, Column)> =
            columns.into_iter().filter_map(|(name, column)| Some((attribute(table, name), column?))).collect();
        columns.push((number, Column::Identity(identity_sequence(table, number))));
        append(table, &columns);
        pg_sys::table_close(table, pg_sys::NoLock as i32);
        true
    }
}

unsafe fn open(name: &CStr) -> Relation {
    // SAFETY: look-ups in catalogs, in a transaction; an unknown table is an error.
    unsafe {
        let schema = pg_sys::get_namespace_oid(c"tasker".as_ptr(), false);
        pg_sys::table_open(pg_sys::get_relname_relid(name.as_ptr(), schema), pg_sys::RowExclusiveLock as i32)
    }
}

/// Whether an insert is nothing but rows and entries of indexes.
unsafe fn is_plain(table: Relation) -> bool {
    // SAFETY: the table is open.
    unsafe {
        (*table).trigdesc.is_null()
            && (*table).rd_rules.is_null()
            && !(*(*table).rd_rel).relrowsecurity
            && (*(*table).rd_rel).relkind == pg_sys::RELKIND_RELATION as i8
    }
}

unsafe fn attribute(table: Relation, name: &CStr) -> AttrNumber {
    // SAFETY: a look-up in a catalog.
    match unsafe { pg_sys::get_attnum((*table).rd_id, name.as_ptr()) } {
        0 => error!("column {name:?} is missing"),
        number => number,
    }
}

unsafe fn identity_sequence(table: Relation, column: AttrNumber) -> Oid {
    // SAFETY: the table is open, and the column is an identity column of it; else this is an error.
    unsafe {
        #[cfg(any(feature = "pg15", feature = "pg16"))]
        return pg_sys::getIdentitySequence((*table).rd_id, column, false);
        #[cfg(not(any(feature = "pg15", feature = "pg16")))]
        return pg_sys::getIdentitySequence(table, column, false);
    }
}

unsafe fn session_user() -> Option<Datum> {
    // SAFETY: the name of a role that exists, in memory of the caller's.
    let name = unsafe { CStr::from_ptr(pg_sys::GetUserNameFromId(pg_sys::GetSessionUserId(), false)) };
    name.to_str().ok().into_datum()
}

/// The elements of an argument that is an array; `None` where it is NULL.
unsafe fn elements(fcinfo: FunctionCallInfo, argument: usize, element: Oid) -> Option<Vec<Option<Datum>>> {
    // SAFETY: the argument is an array with elements of this type; what comes back lives as long as the call.
    unsafe {
        let array = pg_sys::pg_detoast_datum(pg_getarg_datum(fcinfo, argument)?.cast_mut_ptr()).cast();
        let (mut length, mut by_value, mut align) = (0, false, 0);
        pg_sys::get_typlenbyvalalign(element, &raw mut length, &raw mut by_value, &raw mut align);
        let (mut values, mut nulls, mut count) = (null_mut(), null_mut(), 0);
        pg_sys::deconstruct_array(
            array,
            element,
            length.into(),
            by_value,
            align,
            &raw mut values,
            &raw mut nulls,
            &raw mut count,
        );
        let count = usize::try_from(count).unwrap_or_default();
        let values = &*slice_from_raw_parts(values, count);
        let nulls = &*slice_from_raw_parts(nulls, count);
        Some(values.iter().zip(nulls).map(|(value, null)| (!null).then_some(*value)).collect())
    }
}

/// Appends as many rows as the columns with a value for each row have.
unsafe fn append(table: Relation, columns: &[(AttrNumber, Column)]) {
    let rows = columns.iter().find_map(|(_, column)| match column {
        Column::Each(values) => Some(values.len()),
        _ => None,
    });
    let rows = rows.unwrap_or_default();
    // SAFETY: the executor's state lives until it is freed here, or with the memory of the statement after an error.
    unsafe {
        let state = pg_sys::CreateExecutorState();
        let target = pg_sys::palloc0(size_of::<pg_sys::ResultRelInfo>()).cast();
        pg_sys::InitResultRelInfo(target, table, 0, null_mut(), 0);
        pg_sys::ExecOpenIndices(target, false);
        for first in (0..rows).step_by(PORTION) {
            let portion = first..rows.min(first + PORTION);
            let mut slots: Vec<_> = portion.map(|row| slot(table, columns, row)).collect();
            for slot in &slots {
                pg_sys::ExecConstraints(target, *slot, state);
            }
            pg_sys::heap_multi_insert(
                table,
                slots.as_mut_ptr(),
                slots.len() as i32,
                pg_sys::GetCurrentCommandId(true),
                0,
                null_mut(),
            );
            for slot in slots {
                index(target, slot, state);
                pg_sys::ExecDropSingleTupleTableSlot(slot);
            }
        }
        pg_sys::ExecCloseIndices(target);
        pg_sys::FreeExecutorState(state);
    }
}

unsafe fn slot(table: Relation, columns: &[(AttrNumber, Column)], row: usize) -> *mut TupleTableSlot {
    // SAFETY: the slot has a place for each column of the table.
    unsafe {
        let slot = pg_sys::MakeSingleTupleTableSlot((*table).rd_att, &raw const pg_sys::TTSOpsVirtual);
        for place in 0..(*(*table).rd_att).natts as usize {
            *(*slot).tts_isnull.add(place) = true;
        }
        for (number, column) in columns {
            let value = match column {
                Column::One(value) => Some(*value),
                Column::Each(values) => values.get(row).copied().flatten(),
                Column::Identity(sequence) => {
                    direct_function_call::<i64>(pg_sys::nextval_oid, &[sequence.into_datum()]).into_datum()
                }
            };
            let place = (*number - 1) as usize;
            *(*slot).tts_values.add(place) = value.unwrap_or(Datum::null());
            *(*slot).tts_isnull.add(place) = value.is_none();
        }
        pg_sys::ExecStoreVirtualTuple(slot)
    }
}

unsafe fn index(target: *mut pg_sys::ResultRelInfo, slot: *mut TupleTableSlot, state: *mut pg_sys::EState) {
    // SAFETY: the slot's row has been inserted, and the indexes are open.
    unsafe {
        #[cfg(feature = "pg15")]
        pg_sys::ExecInsertIndexTuples(target, slot, state, false, false, null_mut(), null_mut());
        #[cfg(not(feature = "pg15"))]
        pg_sys::ExecInsertIndexTuples(target, slot, state, false, false, null_mut(), null_mut(), false);
    }
}
