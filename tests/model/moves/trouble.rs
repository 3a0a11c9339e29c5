//! What should not happen.

use crate::compare::Check;
use crate::game::{Game, choose};
use crate::plan::{Loss, Pick, Queue};

/// As jsonb shows itself. No task has the number 0, so no step has the number 1.
const BAD_REQUESTS: [&str; 4] = ["7", "null", "{}", r#"{"name": "t0", "context": {}, "namespace": "nowhere"}"#];
const BAD_STEPS: [&str; 5] =
    ["7", "null", "{}", r#"{"attempt": 1, "step_id": "one"}"#, r#"{"attempt": 1, "step_id": 1}"#];
const BAD_RESULTS: [&str; 6] = [
    "7",
    "null",
    r#"{"status": "success"}"#,
    r#"{"status": "splendid", "step_id": 1}"#,
    r#"{"status": "success", "step_id": 1}"#,
    r#"{"status": "success", "step_id": 1, "task_id": 9}"#,
];

impl Game<'_> {
    pub fn send_bad(&mut self, queue: Queue, which: Pick) -> Check {
        let texts: &[&str] = match queue {
            Queue::Requests => &BAD_REQUESTS,
            Queue::Steps => &BAD_STEPS,
            Queue::Results => &BAD_RESULTS,
        };
        let text = texts[usize::from(which) % texts.len()];
        self.model.send_bad(queue, text.to_string());
        let sql = format!("select pgmq.send('{}', '{text}'::jsonb)", self.queue_name(queue));
        self.agree_on_success(&format!("send to {queue:?}: {text}"), &sql)
    }

    pub fn requeue(&mut self, pick: Pick) -> Check {
        let Some(rejected) = choose(&self.model.rejected, pick) else { return Ok(()) };
        let id = rejected.id.unwrap_or_default();
        self.model.rejected.retain(|other| other.id != rejected.id);
        let what = format!("requeue_rejected_message: {rejected}");
        self.model.send_bad(rejected.queue, rejected.text);
        self.agree_on_success(&what, &format!("select tasker.requeue_rejected_message({id})"))
    }

    pub fn discard(&mut self, pick: Pick) -> Check {
        let Some(rejected) = choose(&self.model.rejected, pick) else { return Ok(()) };
        let id = rejected.id.unwrap_or_default();
        self.model.rejected.retain(|other| other.id != rejected.id);
        let what = format!("discard_rejected_message: {rejected}");
        self.agree(&what, "t", &format!("select tasker.discard_rejected_message({id})"))
    }

    pub fn lose(&mut self, loss: Loss) -> Check {
        let (queue, how) = match loss {
            Loss::Purged => (Queue::Steps, "purge_queue"),
            Loss::Dropped | Loss::Replaced => (Queue::Steps, "drop_queue"),
            Loss::ResultsPurged => (Queue::Results, "purge_queue"),
        };
        match queue {
            Queue::Results => self.model.results.clear(),
            _ => self.model.queue.clear(),
        }
        let name = self.queue_name(queue);
        self.agree_on_success(&format!("pgmq.{how} of {queue:?}"), &format!("select pgmq.{how}('{name}')"))?;
        match loss {
            Loss::Purged => Ok(()),
            Loss::Dropped => self.reconcile(&[("queue made again", &name, 1)]),
            Loss::Replaced => {
                let sql = format!("select tasker.create_namespace('{}')", self.namespace);
                self.agree_on_success("create_namespace", &sql)
            }
            Loss::ResultsPurged => self.reconcile(&[]),
        }
    }

    /// `made`: the rows that tell of queues.
    pub fn reconcile(&mut self, made: &[(&str, &str, usize)]) -> Check {
        let (reports, steps) = self.model.reconcile();
        let namespace = self.namespace.clone();
        let mut rows = made.to_vec();
        rows.extend((reports > 0).then_some(("reports sent again", &*namespace, reports)));
        rows.extend((steps > 0).then_some(("steps enqueued again", &*namespace, steps)));
        let rows: Vec<_> = rows.iter().map(|(subject, name, count)| format!("{subject}|{name}|{count}")).collect();
        self.agree("reconcile", &rows.join(", "), "select * from tasker.reconcile()")
    }

    fn queue_name(&self, queue: Queue) -> String {
        match queue {
            Queue::Requests => "orchestration_task_requests".to_string(),
            Queue::Steps => format!("{}_queue", self.namespace),
            Queue::Results => "orchestration_step_results".to_string(),
        }
    }
}
