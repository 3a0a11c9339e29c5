//! `request_task`: one call where nothing is special about the request, which is nearly always. plpgsql would prepare a dozen
//! expressions in every transaction anew.

use pgrx::fcinfo::{pg_getarg, pg_getarg_datum};
use pgrx::pg_sys::{Datum, FunctionCallInfo};
use pgrx::prelude::*;

use super::caller::has_right;
use super::clock::clock;
use super::lock;
use super::queue;
use super::spi::{as_next_statement, guarded, run_for_caller, sql_function};
use super::table::index::{List, Operator};
use super::table::next;
use super::table::read::{Key, Reader};
use super::tasks::{_uuid7, Requests};
use super::values::{elements, value};
use super::wake;
use crate::workflow::jsonb;

/// The least that tasker.max_payload_bytes can be, and the most that a request may say of its origin.
const FEW_BYTES: usize = 1024;

sql_function!(tasker_request_task, pg_finfo_tasker_request_task, request_task);

unsafe fn request_task(fcinfo: FunctionCallInfo) -> Datum {
    // SAFETY: the function is declared with these types.
    unsafe {
        let mut task_id = guarded(|| request(fcinfo));
        if task_id.is_none() {
            request_with_care(fcinfo, &mut |[id]| task_id = value(id));
        }
        task_id.unwrap_or_default().into()
    }
}

unsafe fn request_with_care(fcinfo: FunctionCallInfo, show: &mut dyn FnMut([Option<Datum>; 1])) {
    use pg_sys::{INT4OID, JSONBOID, TEXTARRAYOID, TEXTOID, TIMESTAMPTZOID, UUIDOID};
    let types = [
        TEXTOID,
        TEXTOID,
        JSONBOID,
        TEXTOID,
        INT4OID,
        TEXTOID,
        TIMESTAMPTZOID,
        UUIDOID,
        UUIDOID,
        TEXTOID,
        TEXTOID,
        TEXTOID,
        TEXTARRAYOID,
        TEXTARRAYOID,
        INT4OID,
    ];
    let text = c"select tasker._request_with_care($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)";
    // SAFETY: they are of these types.
    unsafe {
        let arguments = std::array::from_fn(|number| match types[number] {
            TEXTARRAYOID => guarded(|| queue::array(fcinfo, number)),
            _ => pg_getarg_datum(fcinfo, number),
        });
        run_for_caller(text, types, arguments, show);
    }
}

/// Starts a task by the same rules, and returns its id. None, and nothing is done, where the request or its template asks for more
/// than that: _request_with_care knows what, and what is wrong.
unsafe fn request(fcinfo: FunctionCallInfo) -> Option<i64> {
    // SAFETY: the function is declared with these types.
    unsafe {
        let argument = |number| pg_getarg_datum(fcinfo, number);
        let (namespace, name, context) = (argument(0)?, argument(1)?, argument(2)?);
        if !is_plain(fcinfo)
            || pg_sys::XactIsoLevel > pg_sys::XACT_READ_COMMITTED as i32
            || !has_right("requester", namespace)
            // As _keep_namespace does; not where somebody drops the namespace.
            || !lock::try_share("requests", value(Some(namespace))?)
        {
            return None;
        }
        as_next_statement(|| {
            let template = Template::find(namespace, name, argument(3), context)?;
            let task_id = task_id()?;
            let correlation = argument(7).or(argument(8)).or_else(|| _uuid7().into_datum());
            let [template_id, namespace_id] = [template.template_id, template.namespace_id].map(IntoDatum::into_datum);
            let priority = (pg_getarg::<i32>(fcinfo, 4)? as i16).into_datum();
            let request = [
                task_id.into_datum(),
                template_id,
                namespace_id,
                None,
                correlation,
                argument(8),
                argument(14),
                priority,
                Some(template.context),
                None,
                None,
                argument(9),
                argument(10),
                argument(11),
                argument(12),
                argument(13),
            ];
            Requests::one(request, clock().into_datum()).write();
            Some(wake::_waking(task_id))
        })
    }
}

/// Whether there is nothing in the arguments that has to be looked at: see _argument_fault and _request_obstacle.
unsafe fn is_plain(fcinfo: FunctionCallInfo) -> bool {
    // SAFETY: the function is declared with these types.
    unsafe {
        let is_null = |number| pg_getarg_datum(fcinfo, number).is_none();
        let is_empty = |number| elements(fcinfo, number, pg_sys::TEXTOID).is_some_and(|list| list.is_empty());
        let bytes = |number| pg_getarg::<&[u8]>(fcinfo, number).map_or(0, <[u8]>::len);
        let within = |number, least, most| pg_getarg(fcinfo, number).is_some_and(|n: i32| (least..=most).contains(&n));
        pg_getarg::<&[u8]>(fcinfo, 2).is_some_and(jsonb::is_object)
            && within(4, 0, 4)
            && is_null(5)
            && is_null(6)
            && (9..=11).map(bytes).sum::<usize>() <= FEW_BYTES
            && is_empty(12)
            && is_empty(13)
            && within(14, 1, 86400)
    }
}

unsafe fn task_id() -> Option<i64> {
    // SAFETY: look-ups in catalogs; a sequence that does not exist is an error.
    unsafe {
        let schema = pg_sys::get_namespace_oid(c"tasker".as_ptr(), false);
        let sequence = pg_sys::get_relname_relid(c"tasks_task_id_seq".as_ptr(), schema);
        value(next(sequence))
    }
}

/// What a request needs to know of its template.
struct Template {
    template_id: i64,
    namespace_id: i64,
    /// The request's, with what the template adds to it.
    context: Datum,
}

impl Template {
    /// As _find_template finds it; none also where it asks for a key, a schema or more bytes than few.
    ///
    /// # Safety
    /// Texts and a jsonb.
    unsafe fn find(namespace: Datum, name: Datum, version: Option<Datum>, context: Datum) -> Option<Template> {
        const KEY: Key = Key { index: c"task_templates_pkey", column: c"template_id" };
        // SAFETY: in a statement; the index is by namespace and name, and then by version; the columns are of these types.
        unsafe {
            let operators = [Operator::TEXT_IS, Operator::TEXT_IS];
            let columns = [c"template_id", c"retired_at"];
            let mut versions = List::open(c"task_templates", c"task_templates_by_name", &operators, columns);
            let columns = [c"namespace_id", c"version", c"identity_strategy", c"input_schema", c"default_context"];
            let mut templates = Reader::open(c"task_templates", KEY, columns);
            let found = versions.last(&[namespace, name], |[template_id, retired_at]| {
                let template_id: i64 = value(template_id).filter(|_| retired_at.is_none())?;
                let [namespace_id, its_version, strategy, schema, defaults] = templates.find(template_id)?;
                if version.is_some() && value::<&[u8]>(version) != value::<&[u8]>(its_version) {
                    return None;
                }
                let asks_for_nothing = value::<&[u8]>(strategy) == Some(b"always_unique") && schema.is_none();
                let context = asks_for_nothing.then(|| concat(defaults?, context)).flatten();
                Some((template_id, value::<i64>(namespace_id)?, context))
            });
            templates.close();
            versions.close();
            let (template_id, namespace_id, context) = found?;
            Some(Template { template_id, namespace_id, context: context? })
        }
    }
}

/// One object with another's fields in it, where that has few bytes, in memory of its own.
unsafe fn concat(defaults: Datum, context: Datum) -> Option<Datum> {
    // SAFETY: both are jsonb.
    unsafe {
        let merged = pgrx::direct_function_call_as_datum(pg_sys::jsonb_concat, &[Some(defaults), Some(context)])?;
        let merged = pg_sys::pg_detoast_datum_copy(merged.cast_mut_ptr());
        (pgrx::varsize_any(merged) <= FEW_BYTES).then(|| merged.into())
    }
}
