//! What the orchestrators are doing, as seen in shared memory.

use pgrx::prelude::*;

use super::shmem;
use super::slot::Slot;

/// One row per orchestrator of any database: state `starting`, `running`, `idle`, `disabled`, `waiting for identity`
/// (no namespace yet), `copy` (the database is a copy) or `failing`. Counters start with the server. Nothing without
/// shared memory.
#[pg_extern(volatile)]
#[allow(clippy::type_complexity)]
fn _orchestrator_slots() -> TableIterator<
    'static,
    (
        name!(database, pg_sys::Oid),
        name!(worker, i32),
        name!(pid, Option<i32>),
        name!(state, &'static str),
        name!(started_at, Option<TimestampWithTimeZone>),
        name!(last_pass_at, Option<TimestampWithTimeZone>),
        name!(passes, i64),
        name!(accepted, i64),
        name!(settled, i64),
        name!(late, i64),
        name!(rejected, i64),
        name!(fired, i64),
        name!(started, i64),
        name!(enqueued, i64),
        name!(finished, i64),
        name!(errors, i64),
        name!(last_error, Option<String>),
        name!(last_error_at, Option<TimestampWithTimeZone>),
    ),
> {
    let slots: Vec<Slot> = shmem::read(|directory| directory.used().copied().collect());
    TableIterator::new(slots.into_iter().map(|slot| {
        (
            slot.database,
            slot.worker,
            (slot.pid != 0).then_some(slot.pid),
            slot.shown_state().name(),
            time(slot.started_at),
            time(slot.last_pass_at),
            slot.passes,
            slot.counts.accepted,
            slot.counts.settled,
            slot.counts.late,
            slot.counts.rejected,
            slot.counts.fired,
            slot.counts.started,
            slot.counts.enqueued,
            slot.counts.finished,
            slot.errors,
            slot.last_error.text(),
            time(slot.last_error_at),
        )
    }))
}

/// `None` for never.
fn time(micros: i64) -> Option<TimestampWithTimeZone> {
    (micros != 0).then(|| micros.try_into().ok()).flatten()
}
