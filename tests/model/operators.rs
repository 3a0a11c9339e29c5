//! What people do, in the model.

use crate::model::{At, Due, Model, StepState, TaskState};

/// The SQLSTATE of what cannot be done in this state.
const NOT_IN_THIS_STATE: &str = "55000";

impl Model {
    /// False when the task was over.
    pub fn cancel(&mut self, task: usize) -> bool {
        let open = !self.tasks[task].state.is_over();
        if open {
            self.cancel_steps(task);
            self.end_task(task, TaskState::Cancelled);
        }
        open
    }

    /// Returns how many tasks it has cancelled.
    pub fn purge(&mut self) -> usize {
        let cancelled = (0..self.tasks.len()).filter(|task| self.cancel(*task)).count();
        // Nothing is in flight in the queue any more: what a worker has reported, it had taken.
        self.queue.clear();
        cancelled
    }

    pub fn retry_step(&mut self, at: At) -> Result<(), &str> {
        let task = self.tasks[at.task].state;
        let possible = matches!(task, TaskState::Error | TaskState::InProgress);
        if !possible || self.step(at).state != StepState::Error {
            return Err(NOT_IN_THIS_STATE);
        }
        self.reopen(at.task, &[at]);
        Ok(())
    }

    /// Returns how many steps are tried again.
    pub fn retry_task(&mut self, task: usize) -> Result<usize, &str> {
        if self.tasks[task].state != TaskState::Error {
            return Err(NOT_IN_THIS_STATE);
        }
        let mut failed = self.steps_of(task);
        failed.retain(|at| self.step(*at).state == StepState::Error);
        self.reopen(task, &failed);
        Ok(failed.len())
    }

    pub fn resolve_step(&mut self, at: At, value: u32) -> Result<(), &str> {
        let (step, task) = (self.step(at), &self.tasks[at.task]);
        let open = step.state.in_flight() && step.report.is_none()
            || matches!(step.state, StepState::Pending | StepState::WaitingForRetry | StepState::Error);
        if !open || !matches!(task.state, TaskState::Error | TaskState::InProgress) {
            return Err(NOT_IN_THIS_STATE);
        }
        if task.state == TaskState::Error || task.stopping {
            self.reopen(at.task, &[]);
        }
        self.withdraw_message(at);
        let step = self.step_mut(at);
        (step.state, step.results, step.due) = (StepState::ResolvedManually, Some(value), None);
        self.waiting.remove(&(at.task, Some(at.step)));
        self.dead_letters.retain(|(about, _)| *about != (at.task, Some(at.step)));
        self.publish(at.task, format!("step_completed {at}"));
        self.park_ready(at.task);
        if !self.is_active(at.task) {
            self.finish(at.task);
        }
        Ok(())
    }

    /// Brings a task back to work: these steps are tried once more, and all that were cancelled when it stopped.
    fn reopen(&mut self, task: usize, steps: &[At]) {
        let (stopped, now) = (self.tasks[task].stopping, self.now);
        for at in self.steps_of(task) {
            let step = self.step_mut(at);
            let failed = steps.contains(&at) && step.state == StepState::Error;
            if failed || stopped && step.state == StepState::Cancelled {
                step.report = None;
                step.state = StepState::Pending;
                if step.attempts > 0 {
                    step.max_attempts = step.max_attempts.max(step.attempts) + 1;
                    (step.state, step.due) = (StepState::WaitingForRetry, Some(Due(now, now)));
                }
            }
        }
        let about = |step: Option<usize>| step.is_none_or(|step| steps.contains(&At { task, step }));
        self.dead_letters.retain(|((of, step), _)| *of != task || !about(*step));
        let anew = stopped || self.tasks[task].state != TaskState::InProgress;
        let minutes = self.template(task).minutes.filter(|_| anew);
        let task_row = &mut self.tasks[task];
        if let Some(minutes) = minutes {
            task_row.deadlines = vec![now + minutes * 60_000];
        }
        (task_row.state, task_row.stopping) = (TaskState::InProgress, false);
        self.park_ready(task);
    }

    /// What became ready outside of a pass waits for the next.
    fn park_ready(&mut self, task: usize) {
        let ready: Vec<_> = self.steps_of(task).into_iter().filter(|at| self.is_ready(*at)).collect();
        self.waiting.extend(ready.iter().map(|at| (at.task, Some(at.step))));
    }
}
