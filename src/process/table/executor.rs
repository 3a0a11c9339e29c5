//! The same writes by the executor: a statement, run for each row.

use std::collections::HashSet;
use std::ffi::{CStr, CString};

use pgrx::pg_sys::{AttrNumber, Datum, Oid, SPIPlanPtr};
use pgrx::prelude::*;
use pgrx::spi::quote_identifier;

use super::read::Key;
use super::{Column, Writer, description};
use crate::process::spi::first_row;
use crate::process::values::value;

/// # Safety
/// In a statement; the table is open, and the values are of its columns' types.
pub unsafe fn insert(write: &Writer, rows: usize) {
    // SAFETY: see above.
    unsafe {
        // Numbers the table draws itself.
        let columns: Vec<_> = write.columns.iter().filter(|(_, column)| !matches!(column, Column::Next(_))).collect();
        let names: Vec<_> = columns.iter().map(|(number, _)| name(write, *number)).collect();
        let statement = Statement::prepare(
            &format!(
                "insert into {} ({}) overriding system value values ({})",
                table(write),
                names.join(", "),
                (1..=names.len()).map(|number| format!("${number}")).collect::<Vec<_>>().join(", ")
            ),
            columns.iter().map(|(number, _)| description(write.relation, *number).atttypid),
        );
        for row in 0..rows {
            let values: Vec<_> = columns.iter().map(|(_, column)| column.value(row, Datum::null())).collect();
            let [] = statement.run(&values);
        }
    }
}

/// Returns the keys of those rows in which an integer column, if one is given, has become 0.
///
/// # Safety
/// As there; the keys are bigints.
pub unsafe fn update(write: &Writer, key: Key, keys: &[Option<Datum>], zero: Option<&CStr>) -> Vec<Datum> {
    // SAFETY: see above.
    unsafe {
        let changes = (2..).zip(&write.columns).map(|(parameter, (number, column))| {
            let (name, is_more) = (name(write, *number), matches!(column, Column::More(_)));
            let base = if is_more { format!("{name} + ") } else { String::new() };
            format!("{name} = {base}${parameter}")
        });
        let statement = Statement::prepare(
            &format!(
                "update {} set {} where {} = $1 {}",
                table(write),
                changes.collect::<Vec<_>>().join(", "),
                key.column.to_string_lossy(),
                zero.map(|column| format!("returning {} = 0", column.to_string_lossy())).unwrap_or_default()
            ),
            [pg_sys::INT8OID]
                .into_iter()
                .chain(write.columns.iter().map(|(number, _)| description(write.relation, *number).atttypid)),
        );
        let mut zeros = Vec::new();
        let mut seen = HashSet::new();
        for (row, key) in keys.iter().enumerate() {
            let Some(key) = key.filter(|key| seen.insert(key.value())) else { continue };
            // Of what is added to a value, only that.
            let values = write.columns.iter().map(|(_, column)| column.value(row, Datum::from(0)));
            let values: Vec<_> = [Some(key)].into_iter().chain(values).collect();
            if zero.is_none() {
                let [] = statement.run(&values);
            } else if let [is_zero] = statement.run(&values)
                && value(is_zero) == Some(true)
            {
                zeros.push(key);
            }
        }
        zeros
    }
}

/// A prepared statement, which lives as long as the call.
struct Statement(SPIPlanPtr);

impl Statement {
    unsafe fn prepare(text: &str, types: impl Iterator<Item = Oid>) -> Statement {
        let Ok(text) = CString::new(text) else { error!("a column's name holds a zero byte") };
        let mut types: Vec<Oid> = types.collect();
        // SAFETY: an error undoes the connection with the (sub)transaction. The plan outlives it once it is kept.
        unsafe {
            pg_sys::SPI_connect();
            let plan = pg_sys::SPI_prepare(text.as_ptr(), types.len() as i32, types.as_mut_ptr());
            if plan.is_null() || pg_sys::SPI_keepplan(plan) != 0 {
                error!("a statement of tasker_pg cannot be planned");
            }
            pg_sys::SPI_finish();
            Statement(plan)
        }
    }

    unsafe fn run<const N: usize>(&self, values: &[Option<Datum>]) -> [Option<Datum>; N] {
        // SAFETY: the values are of the statement's types.
        unsafe { first_row(values, |values, nulls| pg_sys::SPI_execute_plan(self.0, values, nulls, false, 0)) }
    }
}

impl Drop for Statement {
    fn drop(&mut self) {
        // SAFETY: nobody runs it any more.
        unsafe { pg_sys::SPI_freeplan(self.0) };
    }
}

unsafe fn table(write: &Writer) -> String {
    // SAFETY: the table is open; its schema is there.
    unsafe {
        let about = &*(*write.relation).rd_rel;
        let schema = CStr::from_ptr(pg_sys::get_namespace_name(about.relnamespace));
        let name = |name: &CStr| quote_identifier(name.to_string_lossy());
        format!("{}.{}", name(schema), name(CStr::from_ptr(about.relname.data.as_ptr())))
    }
}

unsafe fn name(write: &Writer, number: AttrNumber) -> String {
    // SAFETY: the table is open.
    unsafe { CStr::from_ptr(description(write.relation, number).attname.data.as_ptr()).to_string_lossy().into() }
}
