//! What becomes of the children of steps that are about to be done.

use std::collections::{BTreeMap, HashMap};

use pgrx::fcinfo::pg_getarg;
use pgrx::pg_sys::FunctionCallInfo;
use pgrx::prelude::*;
use pgrx::{AnyElement, Array};

use super::steps;
use super::table::read::{List, Reader};
use super::values::{array, row, value};
use crate::workflow::step_id::{index_of, step_of, task_of};

/// Of the children of steps that are about to be done: which are ready then, how many parents the others still miss, and
/// which of all these somebody has ever locked. In the order of their ids.
#[pg_extern(
    volatile,
    sql = "create function tasker._look_at_children(parents bigint[], templates bigint[], out ready bigint[], out unready bigint[], out still_missing integer[], out touched bigint[]) volatile language c as 'MODULE_PATHNAME', '@FUNCTION_NAME@';"
)]
fn _look_at_children(fcinfo: FunctionCallInfo) -> Option<AnyElement> {
    // SAFETY: the function is declared with these types, and the columns are of these types.
    unsafe {
        let (parents, templates): (Option<Array<i64>>, Option<Array<i64>>) =
            (pg_getarg(fcinfo, 0), pg_getarg(fcinfo, 1));
        let released = parents.zip(templates).map(|(parents, templates)| released(&parents, &templates));
        let (mut ready, mut unready, mut still_missing, mut touched) = (vec![], vec![], vec![], vec![]);
        let mut steps = Reader::open(c"steps", steps::KEY, [c"remaining_parents", c"state"]);
        for (step_id, count) in released.unwrap_or_default() {
            check_for_interrupts!();
            let Some(([remaining, state], is_touched)) = steps.find_touched(step_id) else { continue };
            let missing = value::<i32>(remaining).unwrap_or_default() - count;
            let is_pending = value::<&str>(state) == Some("pending");
            if missing == 0 && is_pending {
                ready.push(step_id.into());
            } else if missing > 0 || !is_pending {
                unready.push(step_id.into());
                still_missing.push(missing.into());
            }
            if is_touched {
                touched.push(step_id.into());
            }
        }
        steps.close();
        let bigints = |list| array(list, pg_sys::INT8OID);
        row(fcinfo, [bigints(ready), bigints(unready), array(still_missing, pg_sys::INT4OID), bigints(touched)])
    }
}

/// How many of the parents each child has.
unsafe fn released(parents: &Array<i64>, templates: &Array<i64>) -> BTreeMap<i64, i32> {
    let mut released = BTreeMap::new();
    let mut known: HashMap<(i64, i32), Vec<i32>> = HashMap::new();
    // SAFETY: the index is of these columns, with these types.
    unsafe {
        let mut edges = List::open(
            c"template_dependencies",
            c"template_dependencies_pkey",
            &[pg_sys::F_INT8EQ, pg_sys::F_INT4EQ],
            c"child_index",
        );
        for (parent, template) in parents.iter().flatten().zip(templates.iter().flatten()) {
            check_for_interrupts!();
            let index = index_of(parent);
            let children = known.entry((template, index)).or_insert_with(|| {
                let children = edges.all(&[template.into(), index.into()]);
                children.into_iter().map(|child| child.value() as i32).collect()
            });
            for child in children {
                *released.entry(step_of(task_of(parent), *child)).or_default() += 1;
            }
        }
        edges.close();
    }
    released
}
