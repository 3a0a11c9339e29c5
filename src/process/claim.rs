//! What waits in a namespace is claimed, where nothing is special about it: what `_claim_namespace` and `_claim_waiting` do,
//! `_start_tasks` and `_fit` with them, where a plan and its beginning would cost ten times as much.
//!
//! Each template and priority has a line of its own, in which the oldest comes first. The lines are merged by computed priority,
//! so as much is read as can go, however much waits.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use pgrx::Array;
use pgrx::pg_sys::{Datum, ItemPointerData};
use pgrx::prelude::*;

use super::enqueue::Room;
use super::line::_waits_since;
use super::spi::as_next_statement;
use super::steps::{self, NewSteps};
use super::table::index::{End, List, Operator, at_end};
use super::table::read::{Key, Reader};
use super::table::{Column, Writer, can_remove, remove};
use super::tasks::{KEY as TASKS, TaskTransitions};
use super::values::value;
use crate::workflow::step_id::{step_of, task_of};

/// The lines that are merged at most.
const MOST_LINES: usize = 64;
/// So many steps are made at a time: their rows are in memory until they are written.
const AT_A_TIME: usize = 10_000;

/// What is to go.
#[derive(Clone, Copy)]
struct Candidate {
    /// Its row; none of a step that became ready just now.
    row: Option<ItemPointerData>,
    task_id: i64,
    /// None of a task that is to start.
    step_id: Option<i64>,
    template_id: i64,
    /// Since when it waits, in microseconds of the server's epoch.
    since: i64,
    computed_priority: f64,
}

impl Candidate {
    /// The highest goes first, among equals the oldest.
    fn compare(&self, other: &Candidate) -> Ordering {
        let key = |one: &Candidate| (one.since, one.task_id, one.step_id.unwrap_or(i64::MAX));
        other.computed_priority.total_cmp(&self.computed_priority).then_with(|| key(self).cmp(&key(other)))
    }
}

/// See _computed_priority, which is the same in SQL and says why.
fn computed_priority(priority: i16, since: i64, at: i64) -> f64 {
    let until_all_are_equal = match priority {
        0 => 180.0,
        1 => 300.0,
        2 => 480.0,
        3 => 540.0,
        _ => 600.0,
    };
    let (base, age) = (f64::from(priority), at.saturating_sub(since).max(0) as f64 / 1e6);
    base + (6.0 - base) * (age / until_all_are_equal).min(1.0)
}

/// What goes now of the work of a namespace, in its order. Tasks are locked.
pub struct Claim {
    chosen: Vec<Candidate>,
    templates: BTreeMap<i64, Template>,
    /// Whether more waits than was `wanted`.
    pub more: bool,
}

impl Claim {
    /// The first `wanted` of what waits in a namespace, where its template has room, and of the steps that became ready just now, of
    /// whom all go. With the roots of the tasks that start they fit into the room. None where something is special.
    ///
    /// # Safety
    /// In a statement; the caller holds the tasks of these steps.
    pub unsafe fn of(namespace_id: i64, ready: &[i64], wanted: usize, room: &Room, at: i64) -> Option<Claim> {
        // SAFETY: see above.
        unsafe {
            if !can_remove(c"waiting") {
                return None;
            }
            let ready = fresh(ready, at)?;
            let count = ready.len();
            let mut places = room.of_templates.clone();
            let lines = lines(namespace_id)?
                .into_iter()
                .filter(|(template, _)| places.get(template).is_none_or(|left| *left > 0));
            let heads =
                lines.filter_map(|(template, priority)| Head::open(namespace_id, template, priority, at)).collect();
            let (chosen, more) = merge(heads, ready, wanted, &mut places)?;
            if chosen.iter().filter(|one| one.row.is_none()).count() < count {
                return None; // some of them have to wait
            }
            let mut claim = Claim { chosen, templates: BTreeMap::new(), more };
            claim.hold_tasks()?;
            claim.look_at_steps()?;
            claim.fits(room).then_some(claim)
        }
    }

    /// Locks the tasks of what waits, in the order of their ids.
    unsafe fn hold_tasks(&self) -> Option<()> {
        // SAFETY: closed before the statement ends; the columns are of these types.
        unsafe {
            let columns = [c"state", c"stopping", c"bypass_steps"];
            let mut tasks = Reader::open_to_lock(c"tasks", TASKS, columns);
            let mut waiting: Vec<_> = self.chosen.iter().filter(|one| one.row.is_some()).collect();
            waiting.sort_by_key(|one| one.task_id);
            let held = waiting.into_iter().all(|one| {
                let expected = if one.step_id.is_none() { "pending" } else { "in_progress" };
                tasks.lock(one.task_id).is_some_and(|[state, stopping, bypassed]| {
                    let bypasses = value::<Array<&[u8]>>(bypassed).is_none_or(|names| !names.is_empty());
                    value(state) == Some(expected) && stopping.is_none() && !(bypasses && one.step_id.is_none())
                })
            });
            tasks.close();
            held.then_some(())
        }
    }

    /// Steps that wait are updated a moment later, unlocked: nobody can have locked them.
    unsafe fn look_at_steps(&self) -> Option<()> {
        let waiting: Vec<_> =
            self.chosen.iter().filter(|one| one.row.is_some()).filter_map(|one| one.step_id).collect();
        if waiting.is_empty() {
            return Some(());
        }
        // SAFETY: as above.
        unsafe {
            let mut steps = Reader::open(c"steps", steps::KEY, [c"state"]);
            let free = waiting.into_iter().all(|step_id| {
                steps.find_touched(step_id).is_some_and(|([state], is_touched)| {
                    !is_touched && matches!(value(state), Some("pending" | "waiting_for_retry"))
                })
            });
            steps.close();
            free.then_some(())
        }
    }

    /// Whether there is room for the steps that go, with the first ones of tasks that start; not, where something is special about
    /// the template of one of these.
    unsafe fn fits(&mut self, room: &Room) -> bool {
        let (mut in_all, mut of_templates) = (0, BTreeMap::new());
        for one in &self.chosen {
            let count = match (one.step_id, self.templates.entry(one.template_id)) {
                (Some(_), _) => 1,
                (None, Entry::Occupied(known)) => known.get().roots,
                // SAFETY: in a statement.
                (None, Entry::Vacant(place)) => match unsafe { Template::read(one.template_id) } {
                    Some(template) => place.insert(template).roots,
                    None => return false,
                },
            };
            in_all += count;
            *of_templates.entry(one.template_id).or_insert(0_i64) += count as i64;
        }
        in_all <= room.in_all
            && of_templates.iter().all(|(id, count)| room.of_templates.get(id).is_none_or(|left| count <= left))
    }

    /// Takes it: rows go, tasks start. Returns the steps to enqueue, in order, and how many tasks were started.
    ///
    /// # Safety
    /// In a statement of its own; `at` is a timestamptz.
    pub unsafe fn take(mut self, at: Datum) -> (Vec<i64>, usize) {
        // SAFETY: see above.
        unsafe {
            let rows: Vec<_> = self.chosen.iter().filter_map(|one| one.row).collect();
            let mut removed = remove(c"waiting", &rows).into_iter();
            // What somebody has set aside within that moment is his.
            self.chosen.retain(|one| one.row.is_none() || removed.next().unwrap_or_default());
            let starting: Vec<_> = self.chosen.iter().filter(|one| one.step_id.is_none()).copied().collect();
            if !starting.is_empty() {
                as_next_statement(|| self.start(&starting, at));
            }
            let mut steps = Vec::new();
            for one in &self.chosen {
                match one.step_id {
                    Some(step_id) => steps.push(step_id),
                    None => {
                        let nodes = self.templates.get(&one.template_id).map_or(&[][..], |template| &template.nodes);
                        let roots = nodes.iter().filter(|node| node.parents == 0);
                        steps.extend(roots.map(|node| step_of(one.task_id, node.index)));
                    }
                }
            }
            (steps, starting.len())
        }
    }

    /// Gives tasks their steps.
    unsafe fn start(&self, starting: &[Candidate], at: Datum) {
        let mut steps = NewSteps::default();
        let mut roots: Vec<Option<Datum>> = Vec::new();
        // SAFETY: in a statement; the columns are of these types.
        unsafe {
            for one in starting {
                let Some(template) = self.templates.get(&one.template_id) else { continue };
                for node in &template.nodes {
                    check_for_interrupts!();
                    steps.add(step_of(one.task_id, node.index), node.template_step_id, node.max_attempts, node.parents);
                }
                roots.push((template.roots as i32).into_datum());
                if steps.len() >= AT_A_TIME {
                    std::mem::take(&mut steps).write();
                }
            }
            steps.write();
            let task_ids: Vec<_> = starting.iter().map(|one| one.task_id.into_datum()).collect();
            Writer::open(c"tasks")
                .set(c"state", Column::text("in_progress"))
                .set(c"started_at", Column::One(at))
                .set(c"active_steps", Column::Each(roots))
                .update(TASKS, &task_ids);
            let transitions = TaskTransitions {
                task_ids: Column::Each(task_ids),
                from_states: Some(Column::text("pending")),
                to_states: Some(Column::text("in_progress")),
                metadata: None,
            };
            transitions.write(at);
        }
    }
}

/// Steps that became ready just now, in order; none where a task is not there.
unsafe fn fresh(ready: &[i64], at: i64) -> Option<Vec<Candidate>> {
    // SAFETY: closed before the statement ends; the columns are of these types.
    unsafe {
        let columns = [c"template_id", c"priority", c"run_at", c"created_at"];
        let mut tasks = Reader::open(c"tasks", TASKS, columns);
        let mut candidate = |step_id: &i64| {
            let task_id = task_of(*step_id);
            let [template_id, priority, run_at, created_at] = tasks.find(task_id)?;
            let since = [run_at, created_at].into_iter().flatten().map(|time| time.value() as i64).max()?;
            let computed_priority = computed_priority(value(priority)?, since, at);
            let (template_id, step_id) = (value(template_id)?, Some(*step_id));
            Some(Candidate { row: None, task_id, step_id, template_id, since, computed_priority })
        };
        let candidates: Option<Vec<_>> = ready.iter().map(&mut candidate).collect();
        tasks.close();
        let mut candidates = candidates?;
        candidates.sort_by(Candidate::compare);
        Some(candidates)
    }
}

/// Templates and priorities of which something waits. Looked for from their ends: at the heads lie the entries of what was claimed
/// last.
unsafe fn lines(namespace_id: i64) -> Option<Vec<(i64, i16)>> {
    let last = |conditions: &[(Operator, Datum)]| {
        // SAFETY: the index is by these columns, of these types.
        unsafe {
            let columns = [c"template_id", c"priority"];
            let [template, priority] =
                at_end(End::Last, (c"tasker", c"waiting"), c"waiting_in_order", conditions, columns)?;
            value::<i64>(template).zip(value::<i16>(priority))
        }
    };
    let namespace = (Operator::BIGINT_IS, namespace_id.into());
    let mut lines = Vec::new();
    let mut next = last(&[namespace]);
    while let Some((template, priority)) = next {
        lines.push((template, priority));
        if lines.len() > MOST_LINES {
            return None;
        }
        let of_template =
            [namespace, (Operator::BIGINT_IS, template.into()), (Operator::SMALLINT_BELOW, priority.into())];
        let below = || last(&[namespace, (Operator::BIGINT_BELOW, template.into())]);
        next = (priority > 0).then(|| last(&of_template)).flatten().or_else(below);
    }
    Some(lines)
}

/// The first `wanted` of lines and of what became ready, in order, where there are `places` for their template, and whether there
/// are more. None where somebody may have locked a row of these, or what became ready has no place.
fn merge(
    mut heads: Vec<Head>,
    ready: Vec<Candidate>,
    wanted: usize,
    places: &mut BTreeMap<i64, i64>,
) -> Option<(Vec<Candidate>, bool)> {
    let mut ready = ready.into_iter().peekable();
    let mut chosen = Vec::new();
    let mut is_plain = true;
    while chosen.len() < wanted && is_plain {
        check_for_interrupts!();
        let first = heads.iter_mut().filter(|head| head.first.is_some()).min_by(|one, other| {
            one.first.as_ref().zip(other.first.as_ref()).map_or(Ordering::Equal, |(a, b)| a.0.compare(&b.0))
        });
        let waits = first.as_ref().and_then(|head| head.first);
        let is_fresh = match (&waits, ready.peek()) {
            (Some((waits, _)), Some(fresh)) => fresh.compare(waits).is_lt(),
            (waits, _) => waits.is_none(),
        };
        let Some(next) = (if is_fresh { ready.next() } else { waits.map(|(candidate, _)| candidate) }) else { break };
        let left = places.get_mut(&next.template_id);
        let has_place = left.as_ref().is_none_or(|left| **left > 0);
        if has_place {
            left.into_iter().for_each(|left| *left -= 1);
            chosen.push(next);
        }
        match first.filter(|_| !is_fresh) {
            None => is_plain = has_place,
            Some(head) if has_place => {
                is_plain = !waits.is_some_and(|(_, is_touched)| is_touched);
                // SAFETY: in the statement in which it was opened.
                unsafe { head.step() };
            }
            // Nothing more of its template goes.
            Some(head) => head.first = None,
        }
    }
    let more = ready.peek().is_some() || heads.iter().any(|head| head.first.is_some());
    heads.into_iter().for_each(Head::close);
    is_plain.then_some((chosen, more))
}

/// A line, from its first on.
struct Head {
    line: List<3>,
    template_id: i64,
    priority: i16,
    at: i64,
    /// With whether somebody may have locked the row, or be changing it.
    first: Option<(Candidate, bool)>,
}

impl Head {
    unsafe fn open(namespace_id: i64, template_id: i64, priority: i16, at: i64) -> Option<Head> {
        let since = _waits_since(namespace_id, template_id, priority)?;
        let operators = [Operator::BIGINT_IS, Operator::BIGINT_IS, Operator::SMALLINT_IS, Operator::TIME_FROM];
        let of = [namespace_id.into(), template_id.into(), priority.into(), i64::from(since).into()];
        // SAFETY: see above.
        unsafe {
            let columns = [c"task_id", c"step_id", c"since"];
            let mut line = List::open(c"waiting", c"waiting_in_order", &operators, columns);
            line.begin(&of);
            let mut head = Head { line, template_id, priority, at, first: None };
            head.step();
            Some(head)
        }
    }

    unsafe fn step(&mut self) {
        // SAFETY: the columns are of these types.
        self.first = unsafe {
            self.line.next().and_then(|([task_id, step_id, since], row, is_touched)| {
                let since = value::<Datum>(since)?.value() as i64;
                let candidate = Candidate {
                    row: Some(row),
                    task_id: value(task_id)?,
                    step_id: value(step_id),
                    template_id: self.template_id,
                    since,
                    computed_priority: computed_priority(self.priority, since, self.at),
                };
                Some((candidate, is_touched))
            })
        };
    }

    fn close(self) {
        self.line.close();
    }
}

/// What a task gets from its template when it starts.
struct Template {
    nodes: Vec<Node>,
    roots: usize,
}

struct Node {
    index: i32,
    template_step_id: i64,
    max_attempts: i32,
    parents: i32,
}

impl Template {
    /// None where it asks for timers.
    unsafe fn read(template_id: i64) -> Option<Template> {
        const KEY: Key = Key { index: c"task_templates_pkey", column: c"template_id" };
        // SAFETY: closed before the statement ends; the columns are of these types.
        unsafe {
            let columns =
                [c"max_duration", c"max_waiting_for_dependencies", c"max_waiting_for_retry", c"max_steps_in_process"];
            let mut templates = Reader::open(c"task_templates", KEY, columns);
            let has_timers = templates.find(template_id).is_none_or(|times| times.iter().any(Option::is_some));
            templates.close();
            if has_timers {
                return None;
            }
            let columns = [c"step_index", c"template_step_id", c"max_attempts", c"parent_count"];
            let index = c"template_steps_index_is_unique";
            let mut steps = List::open(c"template_steps", index, &[Operator::BIGINT_IS], columns);
            let node = |[index, template_step_id, max_attempts, parents]: [Option<Datum>; 4]| {
                Some(Node {
                    index: value(index)?,
                    template_step_id: value(template_step_id)?,
                    max_attempts: value(max_attempts)?,
                    parents: value(parents)?,
                })
            };
            let nodes: Vec<_> = steps.all(&[template_id.into()]).into_iter().filter_map(node).collect();
            steps.close();
            let roots = nodes.iter().filter(|node| node.parents == 0).count();
            (roots > 0).then_some(Template { nodes, roots })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000_000;

    fn waits(priority: i16, since: i64, task_id: i64, at: i64) -> Candidate {
        let computed_priority = computed_priority(priority, since, at);
        Candidate { row: None, task_id, step_id: None, template_id: 1, since, computed_priority }
    }

    #[test]
    fn priority_rises_to_six_and_no_further() {
        let times = [3, 5, 8, 9, 10];
        for (priority, minutes) in (0..).zip(times) {
            assert_eq!(computed_priority(priority, 0, 0), f64::from(priority));
            assert_eq!(computed_priority(priority, 0, minutes * MINUTE), 6.0);
            assert_eq!(computed_priority(priority, 0, 60 * MINUTE), 6.0);
            assert_eq!(computed_priority(priority, MINUTE, 0), f64::from(priority), "of the future");
        }
        assert_eq!(computed_priority(2, 0, 4 * MINUTE), 4.0);
    }

    #[test]
    fn the_highest_goes_first_and_then_the_oldest() {
        let at = 20 * MINUTE;
        let mut line = [
            waits(4, at, 1, at),
            waits(0, 0, 2, at),
            waits(2, at, 4, at),
            waits(2, at, 3, at),
            waits(4, MINUTE, 5, at),
        ];
        line.sort_by(Candidate::compare);
        assert_eq!(line.map(|one| one.task_id), [2, 5, 1, 3, 4]);
    }

    #[test]
    fn a_task_comes_behind_its_steps() {
        let task = waits(2, 0, 7, 0);
        let step = Candidate { step_id: Some(step_of(7, 0)), ..task };
        assert_eq!(step.compare(&task), Ordering::Less);
    }
}
