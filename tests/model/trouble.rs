//! What should not happen, in the model: messages that cannot be used, and messages that are gone.

use crate::model::{At, Due, Message, Model, Post, Rejected, Result, StepState};
use crate::plan::Queue;

impl Model {
    /// Somebody sends what cannot be used.
    pub fn send_bad(&mut self, queue: Queue, text: String) {
        match queue {
            Queue::Requests => self.requests.push(Post::Bad(text)),
            Queue::Results => self.results.push(Post::Bad(text)),
            Queue::Steps => {
                self.queue.push(Message { id: 0, reads: 0, sent: (self.sendings, true), body: Post::Bad(text) });
                self.sendings += 1;
            }
        }
    }

    pub fn reject(&mut self, queue: Queue, text: String) {
        self.rejected.push(Rejected { queue, text, id: None });
    }

    /// Is a result of the step on its way, of whichever attempt?
    pub fn has_result(&self, at: At) -> bool {
        self.results.iter().any(|result| matches!(result, Post::Good(result) if result.at == at))
    }

    /// Sends reports again that are not on their way, and takes steps for untried whose message is gone. Returns how many
    /// of each.
    pub fn reconcile(&mut self) -> (usize, usize) {
        let mut lost = self.steps();
        lost.retain(|at| self.step(*at).state.in_flight() && !self.has_result(*at));
        let (reports, mut steps): (Vec<_>, Vec<_>) = lost.into_iter().partition(|at| self.step(*at).report.is_some());
        steps.retain(|at| self.step(*at).state == StepState::Enqueued && !self.is_queued(*at));
        for at in &reports {
            self.send_report_again(*at);
        }
        let now = self.now;
        for at in &steps {
            let step = self.step_mut(*at);
            step.max_attempts += 1;
            (step.state, step.due) = (StepState::WaitingForRetry, Some(Due(now, now)));
        }
        (reports.len(), steps.len())
    }

    fn is_queued(&self, at: At) -> bool {
        self.queue.iter().any(|message| message.attempt() == Some((at, self.step(at).attempts)))
    }

    fn send_report_again(&mut self, at: At) {
        let step = self.step(at);
        let (attempt, value) = (Some(step.attempts), step.results.unwrap_or_default());
        let Some(outcome) = step.report else { return };
        self.results.push(Post::Good(Result { at, attempt, outcome, value, reported: true }));
    }
}
