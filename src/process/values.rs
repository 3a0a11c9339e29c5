//! Arrays and rows as arguments and results of the functions that are called with datums alone.

use std::ptr::{null_mut, slice_from_raw_parts};

use pgrx::AnyElement;
use pgrx::fcinfo::pg_getarg_datum;
use pgrx::pg_sys::{Datum, FunctionCallInfo, Oid};
use pgrx::prelude::*;

/// The elements of an argument that is an array; `None` where it is NULL.
///
/// # Safety
/// The argument is an array with elements of this type; what comes back lives as long as the call.
pub unsafe fn elements(fcinfo: FunctionCallInfo, argument: usize, element: Oid) -> Option<Vec<Option<Datum>>> {
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

/// An array without a NULL in it.
///
/// # Safety
/// The elements are of this type.
pub unsafe fn array(mut elements: Vec<Datum>, element: Oid) -> Option<Datum> {
    // SAFETY: see above.
    unsafe {
        let (length, by_value, align) = layout(element);
        let count = elements.len() as i32;
        Some(pg_sys::construct_array(elements.as_mut_ptr(), count, element, length.into(), by_value, align).into())
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
    let mut values = columns.map(|column| column.unwrap_or(Datum::null()));
    let mut nulls = columns.map(|column| column.is_none());
    // SAFETY: see above; the description of the row lives as long as the call.
    unsafe {
        let mut description = null_mut();
        pg_sys::get_call_result_type(fcinfo, null_mut(), &raw mut description);
        let row = pg_sys::heap_form_tuple(description, values.as_mut_ptr(), nulls.as_mut_ptr());
        AnyElement::from_polymorphic_datum(pg_sys::HeapTupleHeaderGetDatum((*row).t_data), false, pg_sys::RECORDOID)
    }
}
