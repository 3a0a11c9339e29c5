//! What an orchestrator outside does, in the model.

use std::collections::BTreeSet;

use crate::model::{Claim, Model, Ms, TaskState, Waiting};

/// `claim_timeout_seconds` where a request does not say otherwise.
const CLAIM_TIMEOUT: Ms = 60_000;

impl Model {
    /// What waits and is nobody's.
    pub fn unclaimed(&self) -> BTreeSet<Waiting> {
        self.waiting.iter().copied().filter(|(task, _)| !self.claims.contains_key(task)).collect()
    }

    /// Returns the tasks with the number of their steps that wait, in order of computed priority.
    pub fn claim_ready_tasks(&mut self, by: u8, most: usize) -> Vec<(usize, usize)> {
        self.expire_claims();
        let waiting = if self.paused { BTreeSet::new() } else { self.unclaimed() };
        let tasks: BTreeSet<_> = waiting.iter().map(|(task, _)| *task).collect();
        let mut tasks: Vec<_> = tasks.into_iter().collect();
        tasks.sort_by(|a, b| self.comes_first(*a, *b));
        tasks.truncate(most);
        self.claims.extend(tasks.iter().map(|task| (*task, Claim { by, until: self.now + CLAIM_TIMEOUT })));
        let steps = |task| waiting.iter().filter(|(of, step)| *of == task && step.is_some()).count();
        tasks.into_iter().map(|task| (task, steps(task))).collect()
    }

    pub fn expire_claims(&mut self) {
        let now = self.now;
        self.claims.retain(|_, claim| claim.until > now);
    }

    pub fn extend_claim(&mut self, by: u8, task: usize) -> bool {
        let (now, over) = (self.now, self.tasks[task].state.is_over());
        let claim = self.claims.get_mut(&task).filter(|claim| claim.by == by && claim.until > now && !over);
        claim.map(|claim| claim.until = now + CLAIM_TIMEOUT).is_some()
    }

    pub fn release_claim(&mut self, by: u8, task: usize) -> bool {
        self.claims.get(&task).is_some_and(|claim| claim.by == by) && self.claims.remove(&task).is_some()
    }

    /// Whoever has claimed it. Returns how many steps it has enqueued.
    pub fn enqueue_ready_steps(&mut self, task: usize) -> usize {
        if self.tasks[task].state.is_over() || self.tasks[task].stopping || self.room() == 0 {
            return 0;
        }
        let mut ready: Vec<_> = self.waiting.extract_if(.., |(of, _)| *of == task).collect();
        if ready.contains(&(task, None)) {
            self.start(task);
            ready = self.steps_of(task).into_iter().map(|at| (task, Some(at.step))).collect();
            ready.retain(|(_, step)| step.is_some_and(|step| self.is_ready(crate::model::At { task, step })));
        }
        let room = self.room();
        let enqueued = self.first_that_fit(ready.clone(), room);
        self.waiting.extend(ready.into_iter().filter(|step| !enqueued.contains(step)));
        self.enqueue_all(&enqueued, true);
        self.sendings += 1;
        if self.tasks[task].state == TaskState::InProgress && !self.is_active(task) {
            self.finish(task);
        }
        enqueued.len()
    }
}
