//! Whether a namespace takes steps, where that is plain: what `_capacity` and `_claim_waiting` know of it without a lock and
//! without a statement.

use std::collections::BTreeMap;
use std::iter::successors;

use pgrx::prelude::*;

use super::table::index::{End, List, Operator, at_end};
use super::table::read::{Key, Reader};
use super::values::value;

/// More pieces are folded into one: see _capacity, whose rules these are where it needs no lock.
const MOST_PIECES: usize = 64;

/// What decides whether a namespace takes steps.
pub struct Namespace {
    pub name: String,
    pub id: i64,
    is_paused: bool,
    /// It could not be enqueued to.
    has_fault: bool,
    max_in_flight: Option<i32>,
    /// How many more or less are in flight, by template: pieces of a sum.
    deltas: Vec<(i64, i64)>,
}

impl Namespace {
    /// # Safety
    /// In a statement.
    pub unsafe fn read(id: i64) -> Option<Namespace> {
        const KEY: Key = Key { index: c"namespaces_pkey", column: c"namespace_id" };
        // SAFETY: in a statement, and the columns are of these types.
        unsafe {
            let columns = [c"name", c"paused", c"fault", c"max_in_flight"];
            let mut namespaces = Reader::open(c"namespaces", KEY, columns);
            let row = namespaces.find(id).and_then(|[name, paused, fault, max_in_flight]| {
                Some((value::<String>(name)?, value::<bool>(paused)?, fault.is_some(), value(max_in_flight)))
            });
            namespaces.close();
            let (name, is_paused, has_fault, max_in_flight) = row?;
            let index = c"in_flight_deltas_by_namespace";
            let columns = [c"template_id", c"delta"];
            let mut deltas = List::open(c"in_flight_deltas", index, &[Operator::BIGINT_IS], columns);
            let pieces = deltas.all(&[id.into()]).into_iter();
            let pieces = pieces.filter_map(|[template, delta]| Some((value(template)?, value::<i32>(delta)?.into())));
            let namespace = Namespace { name, id, is_paused, has_fault, max_in_flight, deltas: pieces.collect() };
            deltas.close();
            Some(namespace)
        }
    }

    /// Whether it takes so many steps from somebody who has ended so many attempts, or is about to: some may still be counted
    /// as in flight. The number in flight does not rise by what fills these places, unless the limit was lowered below it.
    pub fn takes(&self, count: usize, freed: usize, still_counted: usize) -> bool {
        let [count, freed, still_counted] = [count, freed, still_counted].map(|number| number as i64);
        self.is_open() && self.room().is_none_or(|room| count <= freed.min(room + still_counted))
    }

    /// Whether nothing keeps steps from it but a limit.
    pub fn is_open(&self) -> bool {
        !self.is_paused && !self.has_fault && self.deltas.len() <= MOST_PIECES
    }

    fn is_full(&self) -> bool {
        self.deltas.len() <= MOST_PIECES && (self.is_paused || self.room().is_some_and(|room| room <= 0))
    }

    /// How many steps more may be in flight; less than none where the limit was lowered. None where there is no limit.
    pub fn room(&self) -> Option<i64> {
        let in_flight: i64 = self.deltas.iter().map(|(_, delta)| delta).sum();
        self.max_in_flight.map(|most| i64::from(most) - in_flight)
    }

    /// How many steps more of each template that has a limit of its own may be in flight.
    ///
    /// # Safety
    /// In a statement.
    pub unsafe fn rooms(&self) -> BTreeMap<i64, i64> {
        let columns = [c"template_id", c"max_in_flight"];
        // SAFETY: the index is by namespace and holds just those; the columns are of these types.
        unsafe {
            let mut templates =
                List::open(c"task_templates", c"task_templates_limited", &[Operator::BIGINT_IS], columns);
            let limits = templates.all(&[self.id.into()]);
            templates.close();
            let room = |(template, most): (i64, i32)| {
                let in_flight: i64 = self.deltas.iter().filter(|(of, _)| *of == template).map(|(_, delta)| delta).sum();
                (template, i64::from(most) - in_flight)
            };
            limits.into_iter().filter_map(|[template, most]| value(template).zip(value(most)).map(room)).collect()
        }
    }

    /// Whether anything waits here, which nobody has claimed, of a template that has room.
    ///
    /// # Safety
    /// In a statement.
    pub unsafe fn anything_waits(&self, rooms: &BTreeMap<i64, i64>) -> bool {
        // SAFETY: the index holds what nobody has claimed, by namespace and template, which are bigints.
        let last = |below: Option<i64>| unsafe {
            let mut conditions = vec![(Operator::BIGINT_IS, self.id.into())];
            conditions.extend(below.map(|template| (Operator::BIGINT_BELOW, template.into())));
            let waiting = (c"tasker", c"waiting");
            let [template] = at_end(End::Last, waiting, c"waiting_in_order", &conditions, [c"template_id"])?;
            value(template)
        };
        successors(last(None), |template| last(Some(*template)))
            .any(|template| rooms.get(&template).is_none_or(|room| *room > 0))
    }
}

/// Whether it is plain that nothing of what waits in a namespace can go now: it is paused, or as much is in flight as may be,
/// or of each template that waits. Where it is not plain _capacity knows.
#[pg_extern(stable)]
pub fn _is_full(namespace_id: i64) -> bool {
    // SAFETY: in a statement.
    unsafe {
        Namespace::read(namespace_id).is_some_and(|namespace| {
            namespace.is_full() || {
                let rooms = namespace.rooms();
                !rooms.is_empty() && !namespace.anything_waits(&rooms)
            }
        })
    }
}
