//! Texts between Rust, where all are UTF-8, and the server, where they have the encoding of the database. pgrx hands them on as
//! they are, and panics at those that are not UTF-8.

use std::ffi::{CStr, CString, c_char};
use std::slice::from_raw_parts;

use pgrx::callconv::{Arg, ArgAbi, BoxRet, FcInfo};
use pgrx::nullable::Nullable;
use pgrx::pg_sys::{Datum, Oid};
use pgrx::pgrx_sql_entity_graph::metadata::{
    ArgumentError, ReturnsError, ReturnsRef, SqlMappingRef, SqlTranslatable, TypeOrigin,
};
use pgrx::prelude::*;
use pgrx::{direct_function_call, varlena_to_byte_slice};
use serde_json::Value;

const UTF8: i32 = pg_sys::pg_enc::PG_UTF8 as i32;

/// A text. Bytes that stand for no character are an error (22021), and so is a character that the database has not (22P05).
pub struct Text(pub String);

/// A jsonb, likewise. One that serde_json cannot hold is an internal error.
pub struct Jsonb(pub Value);

impl FromDatum for Text {
    unsafe fn from_polymorphic_datum(datum: Datum, is_null: bool, _: Oid) -> Option<Text> {
        // SAFETY: the caller says that it is a text.
        (!is_null).then(|| unsafe {
            Text(utf8(varlena_to_byte_slice(pg_sys::pg_detoast_datum_packed(datum.cast_mut_ptr()))))
        })
    }
}

impl IntoDatum for Text {
    fn into_datum(self) -> Option<Datum> {
        server(self.0).to_bytes().into_datum()
    }

    fn type_oid() -> Oid {
        pg_sys::TEXTOID
    }
}

impl FromDatum for Jsonb {
    unsafe fn from_polymorphic_datum(datum: Datum, is_null: bool, _: Oid) -> Option<Jsonb> {
        // SAFETY: the caller says that it is a jsonb.
        let text = unsafe { direct_function_call::<CString>(pg_sys::jsonb_out, &[Some(datum).filter(|_| !is_null)])? };
        match serde_json::from_str(&utf8(text.to_bytes())) {
            Ok(value) => Some(Jsonb(value)),
            Err(error) => error!("a jsonb cannot be read: {error}"),
        }
    }
}

impl IntoDatum for Jsonb {
    fn into_datum(self) -> Option<Datum> {
        let text = server(self.0.to_string());
        // SAFETY: the text is JSON, and copied.
        unsafe { pgrx::direct_function_call_as_datum(pg_sys::jsonb_in, &[text.as_c_str().into_datum()]) }
    }

    fn type_oid() -> Oid {
        pg_sys::JSONBOID
    }
}

/// What the server has, in UTF-8.
pub fn utf8(text: &[u8]) -> String {
    // SAFETY: what comes back is the text itself, or one of its own with a zero at the end.
    let converted = unsafe {
        let own = pg_sys::pg_server_to_any(text.as_ptr().cast::<c_char>(), text.len() as i32, UTF8);
        if own.cast_const().cast() == text.as_ptr() { text } else { CStr::from_ptr(own).to_bytes() }
    };
    String::from_utf8_lossy(converted).into_owned()
}

fn server(text: String) -> CString {
    // SAFETY: as above.
    let converted = unsafe {
        let own = pg_sys::pg_any_to_server(text.as_ptr().cast::<c_char>(), text.len() as i32, UTF8);
        if own.cast_const().cast() == text.as_ptr() {
            from_raw_parts(text.as_ptr(), text.len())
        } else {
            CStr::from_ptr(own).to_bytes()
        }
    };
    CString::new(converted).unwrap_or_else(|_| error!("a text holds a zero byte"))
}

macro_rules! crosses {
    ($($own:ident is $sql:literal),*) => {$(
        // SAFETY: what SQL calls it.
        unsafe impl SqlTranslatable for $own {
            const TYPE_IDENT: &'static str = pgrx::pgrx_resolved_type!($own);
            const TYPE_ORIGIN: TypeOrigin = TypeOrigin::External;
            const ARGUMENT_SQL: Result<SqlMappingRef, ArgumentError> = Ok(SqlMappingRef::literal($sql));
            const RETURN_SQL: Result<ReturnsRef, ReturnsError> = Ok(ReturnsRef::One(SqlMappingRef::literal($sql)));
        }

        // SAFETY: the argument is of that type.
        unsafe impl<'fcx> ArgAbi<'fcx> for $own {
            unsafe fn unbox_arg_unchecked(arg: Arg<'_, 'fcx>) -> Self {
                // SAFETY: see above.
                unsafe { arg.unbox_arg_using_from_datum() }.unwrap_or_else(|| error!("an argument must not be NULL"))
            }

            unsafe fn unbox_nullable_arg(arg: Arg<'_, 'fcx>) -> Nullable<Self> {
                // SAFETY: see above.
                unsafe { arg.unbox_arg_using_from_datum().into() }
            }
        }

        // SAFETY: the result is of that type.
        unsafe impl BoxRet for $own {
            unsafe fn box_into<'fcx>(self, fcinfo: &mut FcInfo<'fcx>) -> pgrx::datum::Datum<'fcx> {
                match self.into_datum() {
                    // SAFETY: see above.
                    Some(datum) => unsafe { fcinfo.return_raw_datum(datum) },
                    None => fcinfo.return_null(),
                }
            }
        }
    )*};
}

crosses!(Text is "text", Jsonb is "jsonb");
