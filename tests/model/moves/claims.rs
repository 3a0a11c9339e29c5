//! What an orchestrator outside does.

use crate::compare::Check;
use crate::game::Game;
use crate::model::TaskState;
use crate::plan::Pick;

impl Game<'_> {
    pub fn claim_ready_tasks(&mut self, by: u8, most: usize) -> Check {
        let claimed = self.model.claim_ready_tasks(by, most);
        let expected: Vec<_> =
            claimed.iter().map(|(task, steps)| format!("{}|{steps}", self.task_ids[*task])).collect();
        let sql =
            format!("select task_id, ready_steps from tasker.claim_ready_tasks('{by}', {most}, '{}')", self.namespace);
        let tasks: Vec<_> = claimed.iter().map(|(task, _)| task).collect();
        self.agree(&format!("claim_ready_tasks('{by}', {most}): {tasks:?}"), &expected.join(", "), &sql)
    }

    pub fn extend_claim(&mut self, by: u8, pick: Pick) -> Check {
        let Some(task) = self.claimed(pick) else { return Ok(()) };
        let expected = if self.model.extend_claim(by, task) { "t" } else { "f" };
        let sql = format!("select tasker.extend_task_claim({}, '{by}')", self.task_ids[task]);
        self.agree(&format!("extend_task_claim({task}, '{by}')"), expected, &sql)
    }

    pub fn release_claim(&mut self, by: u8, pick: Pick) -> Check {
        let Some(task) = self.claimed(pick) else { return Ok(()) };
        let expected = if self.model.release_claim(by, task) { "t" } else { "f" };
        let sql = format!("select tasker.release_task_claim({}, '{by}')", self.task_ids[task]);
        self.agree(&format!("release_task_claim({task}, '{by}')"), expected, &sql)
    }

    pub fn enqueue_ready_steps(&mut self, pick: Pick) -> Check {
        let open = self.task_in(pick, |state| matches!(state, TaskState::Pending | TaskState::InProgress));
        let Some(task) = self.claimed(pick).or(open) else { return Ok(()) };
        let enqueued = self.model.enqueue_ready_steps(task);
        let sql = format!("select tasker.enqueue_ready_steps({})", self.task_ids[task]);
        self.agree(&format!("enqueue_ready_steps({task})"), &enqueued.to_string(), &sql)
    }

    /// A task that somebody has claimed; now and then any.
    fn claimed(&self, pick: Pick) -> Option<usize> {
        let all: Vec<_> = (0..self.model.tasks.len()).collect();
        crate::game::choose_fitting(&all, pick, |task| self.model.claims.contains_key(task))
    }
}
