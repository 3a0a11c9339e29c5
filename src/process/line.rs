//! Where the line of what waits begins. What has been claimed lies in front of it, and while somebody holds an old snapshot no
//! vacuum can remove that: each claim would walk over all of it, longer with every task that was started.
//!
//! So where there is much of it, a session remembers where it has found the line's head, and begins there (`mark` does the
//! same for queues). What comes to wait in front of that is found by a walk from the first row on, now and then.

use std::cell::RefCell;
use std::collections::HashMap;

use pgrx::prelude::*;

use super::clock::wall_micros;
use super::table::index::{Operator, first_behind};

/// Up to so many rows are walked over each time: a fraction of a millisecond.
const FEW: usize = 1000;
/// The least time between two walks from the first row on, in microseconds.
const REST: i64 = 250_000;
/// How much longer than it took such a walk is rested.
const REST_FACTOR: i64 = 50;
/// More lines than that are not remembered.
const MOST: usize = 1000;

/// A namespace, a template and a priority have a line of their own.
type Line = (i64, i64, i16);

/// Times are microseconds of the server's epoch.
#[derive(Clone, Copy)]
struct Head {
    since: i64,
    walked_at: i64,
    walk_at: i64,
}

thread_local! {
    static HEADS: RefCell<HashMap<Line, Head>> = RefCell::default();
}

/// Since when the first of a line waits that nobody has claimed; NULL where none does.
///
/// What comes to wait in front of the others (a parked step is as old as its task, a request may be committed late) is passed by
/// for 250 ms, or 50 times what it takes to walk over all that is gone, where that is more than 1,000 rows; unless nothing else
/// waits.
#[pg_extern(stable)]
pub fn _waits_since(namespace_id: i64, template_id: i64, priority: i16) -> Option<TimestampWithTimeZone> {
    let line = (namespace_id, template_id, priority);
    let began = wall_micros();
    // One that lies ahead was written before somebody turned the clock back.
    let known = HEADS.with_borrow(|heads| heads.get(&line).copied());
    if let Some(head) = known.filter(|head| (head.walked_at..head.walk_at).contains(&began))
        && let (Some(since), _) = walk(line, Some(head.since))
    {
        HEADS.with_borrow_mut(|heads| heads.insert(line, Head { since, ..head }));
        return TimestampWithTimeZone::try_from(since).ok();
    }

    let (since, gone) = walk(line, None);
    let now = wall_micros();
    HEADS.with_borrow_mut(|heads| match since {
        Some(since) if gone > FEW && heads.len() < MOST => {
            let walk_at = now + REST.max(REST_FACTOR * (now - began));
            heads.insert(line, Head { since, walked_at: began, walk_at });
        }
        _ => {
            heads.remove(&line);
        }
    });
    TimestampWithTimeZone::try_from(since?).ok()
}

/// The first of a line, from a time on, and how many have gone before it.
fn walk((namespace_id, template_id, priority): Line, from: Option<i64>) -> (Option<i64>, usize) {
    let mut conditions = vec![
        (Operator::BIGINT_IS, namespace_id.into()),
        (Operator::BIGINT_IS, template_id.into()),
        (Operator::SMALLINT_IS, priority.into()),
    ];
    conditions.extend(from.map(|since| (Operator::TIME_FROM, since.into())));
    // SAFETY: in a statement; the index is by these columns, of these types.
    let (since, gone) = unsafe { first_behind(c"waiting", c"waiting_in_order", &conditions, c"since") };
    (since.map(|since| since.value() as i64), gone)
}
