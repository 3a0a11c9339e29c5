//! A condition variable in shared memory.

use std::cell::UnsafeCell;
use std::time::{Duration, Instant};

use pgrx::prelude::*;

use super::session;

/// Something that processes sleep on until another tells them to look again.
pub struct Condition(UnsafeCell<pg_sys::ConditionVariable>);

// SAFETY: the server guards a condition variable by a spin lock of its own.
unsafe impl Sync for Condition {}

impl Condition {
    pub fn new() -> Condition {
        let mut condition = pg_sys::ConditionVariable::default();
        // SAFETY: fills in a value; an unused condition variable holds no pointer to itself and can be moved.
        unsafe { pg_sys::ConditionVariableInit(&raw mut condition) };
        Condition(UnsafeCell::new(condition))
    }

    /// Wakes everyone who sleeps on this.
    pub fn broadcast(&self) {
        // SAFETY: it was initialised.
        unsafe { pg_sys::ConditionVariableBroadcast(self.0.get()) };
    }

    /// Sleeps until `reached` is true, which is looked at after every broadcast, or until the time is up. Returns the
    /// last word of `reached`. Interruptible: an abort takes the process off the list of sleepers.
    pub fn wait_until(&self, timeout: Duration, reached: impl Fn() -> bool) -> bool {
        let deadline = Instant::now() + timeout;
        // SAFETY: prepared before `reached` is looked at, so that no broadcast falls in between.
        unsafe { pg_sys::ConditionVariablePrepareToSleep(self.0.get()) };
        let result = loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if reached() || left.is_zero() {
                break reached();
            }
            // SAFETY: this process has prepared to sleep on it.
            unsafe {
                pg_sys::ConditionVariableTimedSleep(self.0.get(), session::millis(left), session::wait_event());
            }
        };
        // SAFETY: ends what was prepared above.
        unsafe { pg_sys::ConditionVariableCancelSleep() };
        result
    }
}
