//! Where the database and the model differ.

use crate::database::Answer;
use crate::game::Game;
use crate::model::{Due, Message, Ms};

/// The first difference.
pub type Check = Result<(), String>;

impl Game<'_> {
    pub fn agree(&mut self, what: &str, expected: &str, sql: &str) -> Check {
        let answer = self.database.answer(sql);
        self.log.push(format!("{what} -> {expected}"));
        match answer {
            Answer::Rows(found) => same(what, expected, &found),
            Answer::Error(state, _) if expected == format!("error {state}") => Ok(()),
            Answer::Error(state, message) => same(what, expected, &format!("error {state} {message}")),
        }
    }

    pub fn agree_on_success(&mut self, what: &str, sql: &str) -> Check {
        self.log.push(what.to_string());
        match self.database.answer(sql) {
            Answer::Rows(_) => Ok(()),
            Answer::Error(state, message) => same(what, "success", &format!("error {state} {message}")),
        }
    }

    /// Is the database in the model's state? What chance decides (jitter, the order of what has none) is learnt here.
    pub fn compare(&mut self) -> Check {
        let (mut lines, mut messages, mut dues, mut rejected) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        self.task_ids.clear();
        for line in self.database.snapshot() {
            match line.kind.as_str() {
                "task" => self.task_ids.push(line.number),
                "message" => messages.push((line.number, line.text)),
                "rejected" => {
                    rejected.push((line.number, line.text.clone()));
                    lines.push(format!("rejected: {}", line.text));
                }
                "due" => dues.push((line.text, line.number)),
                _ => lines.push(line.text),
            }
        }
        lines.sort();
        let expected = self.model.lines();
        let missing: Vec<_> = expected.iter().filter(|line| !lines.contains(line)).collect();
        let surplus: Vec<_> = lines.iter().filter(|line| !expected.contains(line)).collect();
        if lines != expected {
            return Err(format!("expected {missing:#?}\nfound {surplus:#?}"));
        }
        self.learn_rejected(rejected);
        self.compare_messages(messages)?;
        self.compare_dues(dues)
    }

    /// What get_task_execution_contexts computes from the graph.
    pub fn compare_statuses(&mut self) -> Check {
        let mut started: Vec<_> = (0..self.model.tasks.len()).collect();
        started.retain(|task| !self.model.tasks[*task].steps.is_empty());
        let expected = started.iter().map(|task| {
            let (ready, status) = self.model.execution_status(*task);
            format!("{}|{ready}|{status}", self.task_ids[*task])
        });
        let expected = expected.collect::<Vec<_>>().join(", ");
        let ids: Vec<_> = started.iter().map(|task| self.task_ids[*task].to_string()).collect();
        let from = format!("tasker.get_task_execution_contexts('{{{}}}')", ids.join(","));
        match self.database.answer(&format!("select task_id, ready_steps, execution_status from {from}")) {
            Answer::Rows(found) => same("get_task_execution_contexts", &expected, &found),
            error => Err(format!("get_task_execution_contexts: {error:?}")),
        }
    }

    /// They are in the lines as well; here only which is which.
    fn learn_rejected(&mut self, mut found: Vec<(i64, String)>) {
        for rejected in &mut self.model.rejected {
            let text = rejected.to_string();
            let place = found.iter().position(|(_, found)| *found == text);
            rejected.id = place.map(|place| found.swap_remove(place).0);
        }
    }

    fn compare_messages(&mut self, found: Vec<(i64, String)>) -> Check {
        let mut rest = self.model.queue.clone();
        let mut queue = Vec::new();
        for (id, text) in &found {
            let Some(first) = rest.first().map(|message| message.sent) else { break };
            let place = rest.iter().position(|message| message.sent == first && message.to_string() == *text);
            match place {
                Some(place) if place == 0 || !first.1 => queue.push(Message { id: *id, ..rest.remove(place) }),
                _ => break,
            }
        }
        if !rest.is_empty() || queue.len() != found.len() {
            let expected: Vec<_> = self.model.queue.iter().map(ToString::to_string).collect();
            return Err(format!("expected in the queue {expected:#?}\nfound {found:#?}"));
        }
        self.model.queue = queue;
        Ok(())
    }

    fn compare_dues(&mut self, found: Vec<(String, Ms)>) -> Check {
        for at in self.model.steps() {
            let shown = found.iter().find(|(step, _)| *step == at.to_string()).map(|(_, due)| *due);
            match (self.model.step(at).due, shown) {
                (None, None) => {}
                (Some(Due(from, to)), Some(due)) if (from..=to).contains(&due) => {
                    self.model.step_mut(at).due = Some(Due(due, due));
                }
                (expected, found) => {
                    return Err(format!("next_retry_at of {at}: expected {expected:?}, found {found:?}"));
                }
            }
        }
        Ok(())
    }
}

pub fn same(what: &str, expected: &str, found: &str) -> Check {
    if expected == found { Ok(()) } else { Err(format!("{what}\nexpected {expected}\nfound    {found}")) }
}
