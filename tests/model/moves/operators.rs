//! What people do.

use super::answer_of;
use crate::compare::Check;
use crate::game::{Game, choose, choose_fitting};
use crate::model::{At, StepState, TaskState};
use crate::plan::Pick;

impl Game<'_> {
    pub fn cancel(&mut self, pick: Pick) -> Check {
        let Some(task) = self.task_in(pick, |state| !state.is_over()) else { return Ok(()) };
        let expected = if self.model.cancel(task) { "t" } else { "f" };
        let sql = format!("select tasker.cancel_task({})", self.task_ids[task]);
        self.agree(&format!("cancel_task({task})"), expected, &sql)
    }

    pub fn retry_step(&mut self, pick: Pick) -> Check {
        let failed = |at: &At| self.model.step(*at).state == StepState::Error;
        let Some(at) = choose_fitting(&self.model.steps(), pick, failed) else { return Ok(()) };
        let expected = answer_of(self.model.retry_step(at), "");
        self.agree(&format!("retry_step({at})"), &expected, &format!("select tasker.retry_step({})", self.step_id(at)))
    }

    pub fn resolve_step(&mut self, pick: Pick) -> Check {
        let Some(at) = choose(&self.model.steps(), pick) else { return Ok(()) };
        self.values += 1;
        let value = self.values;
        let expected = answer_of(self.model.resolve_step(at, value), "");
        let sql = format!("select tasker.resolve_step({}, '{{\"n\": {value}}}')", self.step_id(at));
        self.agree(&format!("resolve_step({at})"), &expected, &sql)
    }

    pub fn retry_task(&mut self, pick: Pick) -> Check {
        let Some(task) = self.task_in(pick, |state| state == TaskState::Error) else { return Ok(()) };
        let expected = match self.model.retry_task(task) {
            Ok(steps) => steps.to_string(),
            Err(state) => format!("error {state}"),
        };
        let sql = format!("select tasker.retry_task({})", self.task_ids[task]);
        self.agree(&format!("retry_task({task})"), &expected, &sql)
    }

    pub fn pause(&mut self, paused: bool) -> Check {
        self.model.paused = paused;
        let function = if paused { "pause_namespace" } else { "resume_namespace" };
        self.agree(function, "", &format!("select tasker.{function}('{}')", self.namespace))
    }

    pub fn limit(&mut self, limit: Option<i64>) -> Check {
        self.model.limit = limit;
        let shown = limit.map_or_else(|| "null".to_string(), |limit| limit.to_string());
        let sql = format!("select tasker.set_namespace_limit('{}', {shown})", self.namespace);
        self.agree(&format!("set_namespace_limit({shown})"), "", &sql)
    }

    pub fn purge(&mut self) -> Check {
        let cancelled = self.model.purge();
        let sql = format!("select tasker.purge_namespace('{}')", self.namespace);
        self.agree("purge_namespace", &cancelled.to_string(), &sql)
    }

    /// Changes nothing but the letter.
    pub fn resolve_dead_letter(&mut self, pick: Pick) -> Check {
        let Some((about, reason)) = choose(&self.model.dead_letters, pick) else { return Ok(()) };
        let (task, step) = about;
        self.model.dead_letters.retain(|letter| *letter != (about, reason));
        let step_id = step.map_or_else(|| "null".to_string(), |step| self.step_id(At { task, step }).to_string());
        let sql = format!(
            "select bool_and(tasker.resolve_dead_letter(d.dead_letter_id, 'fixed')) from tasker.dead_letters d
             where d.task_id = {} and d.step_id is not distinct from {step_id} and d.resolved_at is null",
            self.task_ids[task]
        );
        self.agree(&format!("resolve_dead_letter of {about:?}"), "t", &sql)
    }
}
