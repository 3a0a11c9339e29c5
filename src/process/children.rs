//! What becomes of the children of steps that are about to be done.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use pgrx::prelude::*;

use super::spi::as_next_statement;
use super::steps::{KEY, write_remaining_parents};
use super::table::index::{List, Operator};
use super::table::read::Reader;
use super::tasks::write_active_steps;
use super::values::value;
use crate::workflow::step_id::{index_of, step_of, task_of};

/// A step, and its template.
#[derive(Clone, Copy)]
pub struct Parent {
    pub step_id: i64,
    pub template_id: i64,
}

/// Children of steps that are about to be done, in the order of their ids.
#[derive(Default)]
pub struct Children {
    /// No parent is missing then.
    pub ready: Vec<i64>,
    /// How many still are.
    unready: Vec<(i64, i32)>,
    /// Somebody may have locked these, or be changing them.
    touched: Vec<i64>,
    /// Parents with a child that somebody has locked: they cannot end yet, so that releasing and enqueueing their children
    /// waits for nobody.
    pub held_up: BTreeSet<i64>,
}

impl Children {
    /// The caller holds the tasks.
    ///
    /// A child that nobody can have locked (is_touched) is not locked here either: it is updated a moment later. Its task's lock
    /// keeps all of ours away from it, and who locks it by hand within that moment is waited for as long as lock_timeout
    /// says, once: the next look sees that lock. An explicit lock costs 54 bytes of write-ahead log a step.
    ///
    /// # Safety
    /// In a statement.
    pub unsafe fn hold(parents: &[Parent]) -> Children {
        // SAFETY: see above.
        unsafe {
            let edges = edges(parents);
            let children = look(edges.iter().map(|(child, parents)| (*child, parents.len())));
            if children.touched.is_empty() {
                return children;
            }
            let held_up = lock(&children.touched)
                .into_iter()
                .filter_map(|child| edges.get(&child))
                .flatten()
                .copied()
                .collect::<BTreeSet<_>>();
            let edges = edges.into_iter().map(|(child, mut parents)| {
                parents.retain(|parent| !held_up.contains(parent));
                (child, parents.len())
            });
            let children = as_next_statement(|| look(edges.filter(|(_, parents)| *parents > 0)));
            Children { held_up, ..children }
        }
    }

    /// Tells the children of steps that are over that so many parents less are missing, and the tasks how many steps are active
    /// now. Returns the tasks with nothing active left. A child that became ready keeps its old remaining_parents: enqueueing (or
    /// parking) it is the one update that it gets.
    ///
    /// # Safety
    /// In a statement.
    pub unsafe fn release(&self, parents: impl Iterator<Item = i64>) -> Vec<pg_sys::Datum> {
        // SAFETY: see above.
        unsafe {
            if !self.unready.is_empty() {
                let ids: Vec<_> = self.unready.iter().map(|(step_id, _)| step_id.into_datum()).collect();
                write_remaining_parents(&ids, self.unready.iter().map(|(_, missing)| missing.into_datum()).collect());
            }
            write_active_steps(parents, self.ready.iter().copied())
        }
    }
}

/// Releases the children of a step that is over, and returns those that are ready then. The caller holds the task and the
/// children locked.
#[pg_extern(
    volatile,
    sql = "create function tasker._release_children(step_id bigint, template_id bigint) returns bigint[] volatile strict language c as 'MODULE_PATHNAME', '@FUNCTION_NAME@';"
)]
fn _release_children(step_id: i64, template_id: i64) -> Option<Vec<i64>> {
    // SAFETY: in a statement.
    let children = unsafe {
        let children = Children::hold(&[Parent { step_id, template_id }]);
        children.release([step_id].into_iter());
        children
    };
    Some(children.ready).filter(|ready| !ready.is_empty())
}

/// These children as they are now, of whom so many parents are about to be done.
unsafe fn look(released: impl Iterator<Item = (i64, usize)>) -> Children {
    let mut children = Children::default();
    // SAFETY: in a statement, and the columns are of these types.
    unsafe {
        let mut steps = Reader::open(c"steps", KEY, [c"remaining_parents", c"state"]);
        for (step_id, count) in released {
            check_for_interrupts!();
            let Some(([remaining, state], is_touched)) = steps.find_touched(step_id) else { continue };
            let missing = value::<i32>(remaining).unwrap_or_default() - count as i32;
            let is_pending = value::<&str>(state) == Some("pending");
            if missing == 0 && is_pending {
                children.ready.push(step_id);
            } else if missing > 0 || !is_pending {
                children.unready.push((step_id, missing));
            }
            if is_touched {
                children.touched.push(step_id);
            }
        }
        steps.close();
    }
    children
}

/// Locks steps, and returns those that somebody else has locked.
unsafe fn lock(step_ids: &[i64]) -> Vec<i64> {
    // SAFETY: in a statement.
    unsafe {
        let mut steps = Reader::open_to_lock(c"steps", KEY, []);
        let held = step_ids.iter().copied().filter(|step_id| steps.lock(*step_id).is_none()).collect();
        steps.close();
        held
    }
}

/// The children of these parents, each with those that it has among them.
unsafe fn edges(parents: &[Parent]) -> BTreeMap<i64, Vec<i64>> {
    let mut edges: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    let mut known: HashMap<(i64, i32), Vec<i32>> = HashMap::new();
    // SAFETY: the index is of these columns, with these types.
    unsafe {
        let mut list = List::open(
            c"template_dependencies",
            c"template_dependencies_pkey",
            &[Operator::BIGINT_IS, Operator::INTEGER_IS],
            [c"child_index"],
        );
        for Parent { step_id, template_id } in parents {
            check_for_interrupts!();
            let index = index_of(*step_id);
            let children = known.entry((*template_id, index)).or_insert_with(|| {
                let children = list.all(&[(*template_id).into(), index.into()]);
                children.into_iter().filter_map(|[child]| value(child)).collect()
            });
            for child in children {
                edges.entry(step_of(task_of(*step_id), *child)).or_default().push(*step_id);
            }
        }
        list.close();
    }
    edges
}
