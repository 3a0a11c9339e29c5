//! The rows that a function returns, all at once, as plpgsql returns them. A row at a time would call the function, and with it
//! SECURITY DEFINER, once for each.

use pgrx::pg_sys::{Datum, FunctionCallInfo, ReturnSetInfo, SetFunctionReturnMode, TupleDesc, Tuplestorestate};
use pgrx::prelude::*;

use super::values::Composite;

pub struct ResultSet {
    rows: *mut Tuplestorestate,
    description: TupleDesc,
}

impl ResultSet {
    /// # Safety
    /// The function is declared to return rows, and says no more of them.
    pub unsafe fn of(fcinfo: FunctionCallInfo) -> ResultSet {
        // SAFETY: whoever calls such a function says what he takes, where rows are to live, and has a place for them.
        unsafe {
            let asked: *mut ReturnSetInfo = (*fcinfo).resultinfo.cast();
            let is_asked = !asked.is_null() && (*asked).type_ == pg_sys::NodeTag::T_ReturnSetInfo;
            let takes = |mode| is_asked && (*asked).allowedModes & mode as i32 != 0;
            if !takes(SetFunctionReturnMode::SFRM_Materialize) {
                ereport!(
                    ERROR,
                    PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
                    "this function returns rows, which cannot be taken here"
                );
            }
            let of_query = pg_sys::MemoryContextSwitchTo((*(*asked).econtext).ecxt_per_query_memory);
            let description = Composite::returned_by(fcinfo).description();
            let at_random = takes(SetFunctionReturnMode::SFRM_Materialize_Random);
            let rows = pg_sys::tuplestore_begin_heap(at_random, false, pg_sys::work_mem);
            pg_sys::MemoryContextSwitchTo(of_query);
            (*asked).returnMode = SetFunctionReturnMode::SFRM_Materialize;
            (*asked).setResult = rows;
            (*asked).setDesc = description;
            ResultSet { rows, description }
        }
    }

    /// # Safety
    /// The columns are of the types that the function is declared with.
    pub unsafe fn add<const N: usize>(&self, columns: [Option<Datum>; N]) {
        let mut values = columns.map(|column| column.unwrap_or(Datum::null()));
        let mut nulls = columns.map(|column| column.is_none());
        // SAFETY: the description has so many columns, of these types.
        unsafe {
            if (*self.description).natts as usize != N {
                error!("a function of tasker_pg has been changed: it must return {N} columns");
            }
            pg_sys::tuplestore_putvalues(self.rows, self.description, values.as_mut_ptr(), nulls.as_mut_ptr());
        }
    }
}
