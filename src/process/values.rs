//! Arrays and rows as arguments and results of the functions that are called with datums alone.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ptr::{null_mut, slice_from_raw_parts};

use pgrx::AnyElement;
use pgrx::fcinfo::pg_getarg_datum;
use pgrx::pg_sys::{Datum, FunctionCallInfo, Oid, TupleDesc};
use pgrx::prelude::*;

/// Values of one type; `None` is NULL.
pub type Elements = Vec<Option<Datum>>;

/// The elements of an argument that is an array; `None` where it is NULL.
///
/// # Safety
/// The argument is an array with elements of this type; what comes back lives as long as the call.
pub unsafe fn elements(fcinfo: FunctionCallInfo, argument: usize, element: Oid) -> Option<Elements> {
    // SAFETY: see above.
    unsafe {
        let array = pg_sys::pg_detoast_datum(pg_getarg_datum(fcinfo, argument)?.cast_mut_ptr()).cast();
        let (length, by_value, align) = layout(element);
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

/// An array of no elements.
pub fn empty_array(element: Oid) -> Option<Datum> {
    // SAFETY: only makes it.
    Some(unsafe { pg_sys::construct_empty_array(element) }.into())
}

/// An array without a NULL in it; `None` for an empty one.
///
/// # Safety
/// The elements are of this type.
pub unsafe fn array(mut elements: Vec<Datum>, element: Oid) -> Option<Datum> {
    // SAFETY: see above.
    unsafe { construct(&mut elements, null_mut(), element) }
}

/// An array of bigints; `None` for an empty one.
pub fn bigints(numbers: impl IntoIterator<Item = i64>) -> Option<Datum> {
    // SAFETY: they are of this type.
    unsafe { array(numbers.into_iter().map(Datum::from).collect(), pg_sys::INT8OID) }
}

/// An array in which some may be NULL; `None` for an empty one.
///
/// # Safety
/// The elements are of this type.
pub unsafe fn nullable_array(elements: &[Option<Datum>], element: Oid) -> Option<Datum> {
    let mut values: Vec<Datum> = elements.iter().map(|element| element.unwrap_or(Datum::null())).collect();
    let mut nulls: Vec<bool> = elements.iter().map(Option::is_none).collect();
    // SAFETY: see above.
    unsafe { construct(&mut values, nulls.as_mut_ptr(), element) }
}

unsafe fn construct(values: &mut [Datum], nulls: *mut bool, element: Oid) -> Option<Datum> {
    if values.is_empty() {
        return None;
    }
    // SAFETY: the caller says the type, and `nulls` is null or as long as the values.
    unsafe {
        let (length, by_value, align) = layout(element);
        let (mut count, mut first) = (values.len() as i32, 1);
        let array = pg_sys::construct_md_array(
            values.as_mut_ptr(),
            nulls,
            1,
            &raw mut count,
            &raw mut first,
            element,
            length.into(),
            by_value,
            align,
        );
        Some(array.into())
    }
}

unsafe fn layout(element: Oid) -> (i16, bool, i8) {
    let (mut length, mut by_value, mut align) = (0, false, 0);
    // SAFETY: a look-up in a catalog; the type exists.
    unsafe { pg_sys::get_typlenbyvalalign(element, &raw mut length, &raw mut by_value, &raw mut align) };
    (length, by_value, align)
}

/// A row of what the calling function returns.
///
/// # Safety
/// The columns are of the types that the function is declared with.
pub unsafe fn row<const N: usize>(fcinfo: FunctionCallInfo, columns: [Option<Datum>; N]) -> Option<AnyElement> {
    // SAFETY: see above.
    unsafe {
        let row = Composite::returned_by(fcinfo).value(columns);
        AnyElement::from_polymorphic_datum(row, false, pg_sys::RECORDOID)
    }
}

/// A column, or an argument, as a type of Rust's.
///
/// # Safety
/// It is of this type.
pub unsafe fn value<T: FromDatum>(column: Option<Datum>) -> Option<T> {
    // SAFETY: see above.
    column.and_then(|datum| unsafe { T::from_datum(datum, false) })
}

/// The same value in memory of the caller's, as it is stored.
///
/// # Safety
/// It is of a type of variable length.
pub unsafe fn copy(column: Option<Datum>) -> Option<Datum> {
    column.map(|datum| {
        let from: *const pg_sys::varlena = datum.cast_mut_ptr();
        // SAFETY: see above.
        unsafe {
            let size = pgrx::varsize_any(from);
            let to: *mut u8 = pg_sys::palloc(size).cast();
            to.copy_from_nonoverlapping(from.cast(), size);
            to.into()
        }
    })
}

/// A composite type.
#[derive(Clone, Copy)]
pub struct Composite(TupleDesc);

thread_local! {
    /// What functions return, by function: asked of the catalog once a session (10,000 instructions). A function's columns
    /// never change.
    static RETURNED: RefCell<HashMap<Oid, Composite>> = RefCell::default();
}

impl Composite {
    /// That of the calling function's rows.
    ///
    /// # Safety
    /// It returns some.
    pub unsafe fn returned_by(fcinfo: FunctionCallInfo) -> Composite {
        // SAFETY: see above; the copy is kept for ever.
        unsafe {
            let function = (*(*fcinfo).flinfo).fn_oid;
            let known = RETURNED.with_borrow(|returned| returned.get(&function).copied());
            known.unwrap_or_else(|| {
                let mut description = null_mut();
                pg_sys::get_call_result_type(fcinfo, null_mut(), &raw mut description);
                let context = pg_sys::MemoryContextSwitchTo(pg_sys::CacheMemoryContext);
                let composite = Composite(pg_sys::BlessTupleDesc(pg_sys::CreateTupleDescCopy(description)));
                pg_sys::MemoryContextSwitchTo(context);
                RETURNED.with_borrow_mut(|returned| returned.insert(function, composite));
                composite
            })
        }
    }

    /// That of the elements of a column, from 1, of what the calling function returns.
    ///
    /// # Safety
    /// The column is an array of them.
    pub unsafe fn element_of(fcinfo: FunctionCallInfo, column: i32) -> Composite {
        // SAFETY: see above.
        unsafe {
            Composite::named(pg_sys::get_element_type(pg_sys::SPI_gettypeid(Composite::returned_by(fcinfo).0, column)))
        }
    }

    /// That of the elements of an argument.
    ///
    /// # Safety
    /// The argument is an array of them.
    pub unsafe fn element_of_argument(fcinfo: FunctionCallInfo, argument: i32) -> Composite {
        // SAFETY: see above.
        unsafe { Composite::named(pg_sys::get_element_type(pg_sys::get_fn_expr_argtype((*fcinfo).flinfo, argument))) }
    }

    /// That of a type, for as long as the call.
    unsafe fn named(composite: Oid) -> Composite {
        // SAFETY: see above.
        unsafe {
            let shared = pg_sys::lookup_rowtype_tupdesc(composite, -1);
            let own = pg_sys::CreateTupleDescCopy(shared);
            if (*shared).tdrefcount >= 0 {
                pg_sys::DecrTupleDescRefCount(shared);
            }
            Composite(own)
        }
    }

    /// Its columns, in memory of the caller's.
    pub fn description(&self) -> TupleDesc {
        // SAFETY: the description is there.
        unsafe { pg_sys::CreateTupleDescCopy(self.0) }
    }

    pub fn oid(&self) -> Oid {
        // SAFETY: the description is there.
        unsafe { (*self.0).tdtypeid }
    }

    /// # Safety
    /// The columns are of the type's.
    pub unsafe fn value<const N: usize>(&self, columns: [Option<Datum>; N]) -> Datum {
        let mut values = columns.map(|column| column.unwrap_or(Datum::null()));
        let mut nulls = columns.map(|column| column.is_none());
        self.has(N);
        // SAFETY: see above.
        unsafe {
            let row = pg_sys::heap_form_tuple(self.0, values.as_mut_ptr(), nulls.as_mut_ptr());
            pg_sys::HeapTupleHeaderGetDatum((*row).t_data)
        }
    }

    fn has(&self, columns: usize) {
        // SAFETY: the description is there.
        if unsafe { (*self.0).natts } as usize != columns {
            error!("a type of tasker_pg has been changed: it must have {columns} columns");
        }
    }

    /// The columns of a value.
    ///
    /// # Safety
    /// It is of this type, which has so many columns; what comes back lives as long as the value.
    pub unsafe fn columns<const N: usize>(&self, value: Datum) -> [Option<Datum>; N] {
        let (mut values, mut nulls) = ([Datum::null(); N], [true; N]);
        self.has(N);
        // SAFETY: see above.
        unsafe {
            let header: pg_sys::HeapTupleHeader = pg_sys::pg_detoast_datum(value.cast_mut_ptr()).cast();
            let mut row = pg_sys::HeapTupleData { t_data: header, ..Default::default() };
            row.t_len = pgrx::varsize_any(header.cast()) as u32;
            pg_sys::heap_deform_tuple(&raw mut row, self.0, values.as_mut_ptr(), nulls.as_mut_ptr());
        }
        let mut columns = [None; N];
        for ((column, value), null) in columns.iter_mut().zip(values).zip(nulls) {
            *column = (!null).then_some(value);
        }
        columns
    }
}
