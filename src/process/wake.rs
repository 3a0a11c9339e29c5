//! The wake at commit: who waits for work, or for its end, looks when he can see what a transaction wrote.

use std::sync::atomic::Ordering;
use std::time::Duration;

use pgrx::prelude::*;

use super::at_end::note;
use super::{session, shmem};
use crate::error::{Error, raise};

/// Without shared memory, a wait is a nap of this length.
const NAP: Duration = Duration::from_millis(50);

/// Notes that the orchestrators of this database have work once this transaction commits.
#[pg_extern(volatile)]
pub fn _wake() {
    note(|notes| notes.orchestrator = true);
}

/// The same as `_wake`, in the expression that a function ends with: a statement of its own costs ten times as much. Returns
/// its argument.
#[pg_extern(volatile)]
pub fn _waking(task_id: i64) -> i64 {
    note(|notes| notes.orchestrator = true);
    task_id
}

/// The same as `_wake`, for a statement-level trigger on a queue, so that a plain `pgmq.send` counts too.
#[pg_extern(
    volatile,
    sql = "create function tasker._wake_trigger() returns trigger language c as 'MODULE_PATHNAME', '@FUNCTION_NAME@';"
)]
fn _wake_trigger() {
    note(|notes| notes.orchestrator = true);
}

/// Notes that those who wait for work of a namespace should look once this transaction commits. 0 stands for those who
/// wait for tasks to finish.
#[pg_extern(volatile)]
pub fn _wake_namespace(namespace_id: i64) {
    note(|notes| {
        if !notes.namespaces.contains(&namespace_id) {
            notes.namespaces.push(namespace_id);
        }
    });
}

/// Notes that this database has the extension once this transaction commits.
#[pg_extern(volatile)]
fn _note_installed() {
    note(|notes| notes.installed = true);
}

/// The wake counter of a namespace of this database; 0 without shared memory. To wait without missing a wake, take it
/// before looking for work.
#[pg_extern(volatile)]
pub fn _generation(namespace_id: i64) -> i64 {
    shmem::board().map_or(0, |board| generation(board.wake_of(session::database(), namespace_id)))
}

/// Waits until the wake counter of a namespace is no longer `generation`: true; or for `timeout_ms`: false. Without
/// shared memory it naps for 50 ms at most.
#[pg_extern(volatile)]
pub fn _wait_for_wake(namespace_id: i64, generation: i64, timeout_ms: i32) -> bool {
    let timeout = Duration::from_millis(timeout_ms.max(0).unsigned_abs().into());
    let Some(board) = shmem::board() else {
        session::sleep(timeout.min(NAP));
        return false;
    };
    let wake = board.wake_of(session::database(), namespace_id);
    let moved = wake.moved.wait_until(timeout, || self::generation(wake) != generation);
    if session::client_is_gone() {
        raise(Error::ClientGone);
    }
    moved
}

fn generation(wake: &shmem::Wake) -> i64 {
    wake.generation.load(Ordering::Acquire).cast_signed()
}
