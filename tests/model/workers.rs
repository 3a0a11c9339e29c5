//! What workers do, in the model.

use crate::model::{At, Message, Model, Ms, Post, Result, StepState, Timer, Watch};
use crate::plan::{Outcome, Queue};

/// An attempt that somebody was given.
pub type Attempt = (At, u32);

impl Model {
    pub fn pop(&mut self) -> Option<Message> {
        (!self.queue.is_empty()).then(|| self.queue.remove(0))
    }

    pub fn read(&mut self) -> Option<Message> {
        let message = self.queue.first_mut()?;
        message.reads += 1;
        Some(message.clone())
    }

    /// Messages of attempts that are over, or reported, are dropped on the way, and what is no step message is rejected.
    /// Returns nothing only where nothing is. `only`: of this template, of the step at this place.
    pub fn poll(&mut self, quantity: usize, lease: Option<Ms>, only: (Option<usize>, Option<usize>)) -> Vec<Attempt> {
        let mut given = Vec::new();
        loop {
            let taken = self.take_messages(quantity, only);
            if taken.is_empty() {
                return given;
            }
            for message in taken {
                match message.body {
                    Post::Good(work) => given.extend(self.begin((work.at, work.attempt), lease)),
                    Post::Bad(text) => self.reject(Queue::Steps, text),
                }
            }
            if !given.is_empty() {
                return given;
            }
        }
    }

    fn take_messages(&mut self, quantity: usize, (template, step): (Option<usize>, Option<usize>)) -> Vec<Message> {
        let tasks = &self.tasks;
        let fits = |message: &Message| match message.attempt() {
            Some((at, _)) => template.is_none_or(|t| tasks[at.task].template == t) && step.is_none_or(|s| at.step == s),
            None => template.is_none() && step.is_none(),
        };
        let mut left = quantity;
        let wanted = |message: &mut Message| {
            let take = left > 0 && fits(message);
            left -= usize::from(take);
            take
        };
        self.queue.extract_if(.., wanted).collect()
    }

    fn begin(&mut self, (at, attempt): Attempt, lease: Option<Ms>) -> Option<Attempt> {
        let step = self.step_mut(at);
        if (step.attempts, step.state, step.report) != (attempt, StepState::Enqueued, None) {
            return None;
        }
        step.state = StepState::InProgress;
        let fire_at = self.now + lease.unwrap_or(self.timeout(at));
        self.timers.push(Timer { fire_at, watch: Watch::Lease, at, attempt });
        Some((at, attempt))
    }

    /// Is the attempt in flight, and not reported?
    pub fn is_open(&self, (at, attempt): Attempt) -> bool {
        let step = self.step(at);
        step.state.in_flight() && step.attempts == attempt && step.report.is_none()
    }

    /// `complete_step`, `fail_step`; or the SQLSTATE that they raise.
    pub fn report(&mut self, (at, attempt): Attempt, outcome: Outcome, value: u32) -> std::result::Result<(), &str> {
        if self.is_open((at, attempt)) {
            let step = self.step_mut(at);
            step.report = Some(outcome);
            if outcome == Outcome::Success {
                step.results = Some(value);
            }
            self.results.push(Post::Good(Result { at, attempt: Some(attempt), outcome, value, reported: true }));
            Ok(())
        } else if self.was_cancelled((at, attempt)) {
            Err("TK002")
        } else {
            Err("TK001")
        }
    }

    /// Did a cancel end the attempt?
    pub fn was_cancelled(&self, (at, attempt): Attempt) -> bool {
        self.step(at).state == StepState::Cancelled && self.step(at).attempts == attempt
    }

    pub fn extend(&mut self, attempt: Attempt, lease: Option<Ms>) -> bool {
        let open = self.is_open(attempt);
        if open {
            let expires = self.now + lease.unwrap_or(self.timeout(attempt.0));
            let step = self.step_mut(attempt.0);
            step.extended = Some(step.extended.map_or(expires, |before| before.max(expires)));
        }
        open
    }

    /// Gives an attempt back untried: its number is used up, its try is not.
    pub fn release(&mut self, attempt: Attempt) -> bool {
        let released = self.is_open(attempt) && self.step(attempt.0).state == StepState::InProgress;
        if released {
            let now = self.now;
            let step = self.step_mut(attempt.0);
            step.max_attempts += 1;
            (step.state, step.due) = (StepState::WaitingForRetry, Some(crate::model::Due(now, now)));
        }
        released
    }
}
