//! When the launcher may start an orchestrator (again). Plain values; the time is given.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use pgrx::pg_sys::Oid;

use super::slot::Exit;

/// How long a database without the extension is left alone, unless a backend says that it has it now.
pub const PROBE_INTERVAL: Duration = Duration::from_secs(60);

/// A process that lived this long did not fail right away.
const HEALTHY: Duration = Duration::from_secs(10);
const LONGEST_DELAY: Duration = Duration::from_secs(10);

#[derive(Default, Clone, Copy)]
struct History {
    /// How often in a row the process ended right away.
    failures: u32,
    not_before: Option<Instant>,
}

/// What the launcher remembers of orchestrators that ended, by database and number within it.
#[derive(Default)]
pub struct Schedule(HashMap<(Oid, i32), History>);

impl Schedule {
    /// Takes note of an orchestrator that ended after it had lived for `lived`.
    pub fn ended(&mut self, database: Oid, worker: i32, exit: Exit, lived: Duration, now: Instant) {
        let history = self.0.entry((database, worker)).or_default();
        history.failures = if exit != Exit::Ended || lived >= HEALTHY { 0 } else { history.failures + 1 };
        history.not_before = match exit {
            Exit::NoExtension => Some(now + PROBE_INTERVAL),
            Exit::Unwanted => None,
            Exit::Ended => Some(now + delay(history.failures)),
        };
    }

    /// Takes note that a database has the extension now.
    pub fn installed(&mut self, database: Oid) {
        self.0.retain(|(known, _), _| *known != database);
    }

    /// Forgets the databases that are gone.
    pub fn keep_only(&mut self, exists: impl Fn(Oid) -> bool) {
        self.0.retain(|(database, _), _| exists(*database));
    }

    /// How long an orchestrator must not be started yet. Zero: it may be started.
    pub fn hold(&self, database: Oid, worker: i32, now: Instant) -> Duration {
        let not_before = self.0.get(&(database, worker)).and_then(|history| history.not_before);
        not_before.map_or(Duration::ZERO, |at| at.saturating_duration_since(now))
    }
}

/// At once after the first failure, then after 1, 2, 4, 8 and from there on 10 seconds.
fn delay(failures: u32) -> Duration {
    match failures {
        0 | 1 => Duration::ZERO,
        more => Duration::from_secs(1 << (more - 2).min(4)).min(LONGEST_DELAY),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHOP: Oid = Oid::from_u32(16_384);

    #[test]
    fn what_keeps_failing_is_started_less_and_less_often() {
        let seconds: Vec<_> = (0..8).map(|failures| delay(failures).as_secs()).collect();
        assert_eq!(seconds, [0, 0, 1, 2, 4, 8, 10, 10]);
    }

    #[test]
    fn what_lived_for_a_while_is_started_again_at_once() {
        let (mut schedule, now) = (Schedule::default(), Instant::now());
        for _ in 0..5 {
            schedule.ended(SHOP, 0, Exit::Ended, Duration::ZERO, now);
        }
        assert_eq!(schedule.hold(SHOP, 0, now), Duration::from_secs(8));
        schedule.ended(SHOP, 0, Exit::Ended, HEALTHY, now);
        assert_eq!(schedule.hold(SHOP, 0, now), Duration::ZERO);
    }

    #[test]
    fn a_database_without_the_extension_rests_until_it_has_it() {
        let (mut schedule, now) = (Schedule::default(), Instant::now());
        schedule.ended(SHOP, 0, Exit::NoExtension, Duration::ZERO, now);
        assert_eq!(schedule.hold(SHOP, 0, now), PROBE_INTERVAL);
        schedule.installed(SHOP);
        assert_eq!(schedule.hold(SHOP, 0, now), Duration::ZERO);
    }
}
