//! What workers do.

use super::answer_of;
use crate::compare::Check;
use crate::game::{Game, choose};
use crate::model::{self, At, Message, Ms, Post};
use crate::plan::{How, Only, Outcome, Pick, name};
use crate::workers::Attempt;

/// More than there ever are.
const ALL: usize = 1_000;
/// How many a template has at most.
const STEPS: usize = 8;

impl Game<'_> {
    /// A worker that finds nothing lets the orchestrator run, so that not most of a game is idle.
    pub fn fill(&mut self) -> Check {
        if !self.model.queue.is_empty() {
            return Ok(());
        }
        self.pass(None)
    }

    /// Whoever is to report and has nothing takes something.
    pub fn take_one(&mut self, how: How) -> Check {
        if self.given.iter().any(|attempt| self.model.is_open(*attempt)) {
            return Ok(());
        }
        self.fill()?;
        if how == How::Function { self.poll(1, None, Only::default()) } else { self.pop() }
    }

    pub fn pop(&mut self) -> Check {
        let message = self.model.pop();
        self.take("pgmq.pop", message, "pgmq.pop($1)")
    }

    pub fn read(&mut self) -> Check {
        let message = self.model.read();
        self.take("pgmq.read", message, "pgmq.read($1, 0, 1)")
    }

    fn take(&mut self, what: &str, message: Option<Message>, from: &str) -> Check {
        let from = from.replace("$1", &format!("'{}_queue'", self.namespace));
        let expected = message.as_ref().map_or_else(String::new, |message| message.id.to_string());
        let label = message.as_ref().map_or_else(String::new, |message| message.to_string());
        self.given.extend(message.and_then(|message| message.attempt()));
        self.agree(&format!("{what}: {label}"), &expected, &format!("select msg_id from {from}"))
    }

    pub fn delete(&mut self, pick: Pick) -> Check {
        let mut read = self.model.queue.clone();
        read.retain(|message| message.reads > 0);
        let Some(message) = choose(&read, pick) else { return Ok(()) };
        self.model.queue.retain(|other| other.id != message.id);
        let sql = format!("select pgmq.delete('{}_queue', {})", self.namespace, message.id);
        self.agree(&format!("pgmq.delete: {message}"), "t", &sql)
    }

    pub fn poll(&mut self, quantity: usize, lease: Option<Ms>, only: Only) -> Check {
        let templates = self.model.templates.len();
        let template = only.template.map(|template| usize::from(template) % templates);
        let step = only.step.map(|step| usize::from(step) % STEPS);
        let given = self.model.poll(quantity, lease, (template, step));
        let expected = given.iter().map(|(at, attempt)| format!("{}|{attempt}", self.step_id(*at)));
        let expected = expected.collect::<Vec<_>>().join(", ");
        let mut arguments = format!("{quantity}, {}", interval(lease));
        arguments.extend(template.map(|number| format!(", task_names => '{{t{number}}}'")));
        arguments.extend(step.map(|place| format!(", step_names => '{{{}}}'", name(place))));
        let what = format!("poll_steps({arguments}): {}", show(&given));
        let sql = format!("select step_id, attempt from tasker.poll_steps('{}', {arguments})", self.namespace);
        self.given.extend(given);
        self.agree(&what, &expected, &sql)
    }

    pub fn report(&mut self, (at, attempt): Attempt, how: How, outcome: Outcome) -> Check {
        self.values += 1;
        let value = self.values;
        let what = format!("{how:?} report of {at} attempt {attempt}: {outcome:?}");
        if how == How::Function {
            let expected = answer_of(self.model.report((at, attempt), outcome, value), "");
            let sql = self.report_call((at, attempt), outcome, value);
            return self.agree(&what, &expected, &sql);
        }
        let attempt = (how == How::Plain).then_some(attempt);
        let result = model::Result { at, attempt, outcome, value, reported: false };
        self.model.results.push(Post::Good(result));
        let message = self.result((at, attempt), outcome, value);
        self.agree_on_success(&what, &format!("select pgmq.send('orchestration_step_results', '{message}'::jsonb)"))
    }

    fn report_call(&self, (at, attempt): Attempt, outcome: Outcome, value: u32) -> String {
        let step_id = self.step_id(at);
        match outcome {
            Outcome::Success => format!("select tasker.complete_step({step_id}, {attempt}, '{{\"n\": {value}}}')"),
            Outcome::Failure { retryable, after } => {
                let metadata = after.map_or_else(|| "null".to_string(), |after| format!("'{}'", retry_after(after)));
                format!("select tasker.fail_step({step_id}, {attempt}, '\"no\"', {retryable}, {metadata})")
            }
        }
    }

    fn result(&self, (at, attempt): (At, Option<u32>), outcome: Outcome, value: u32) -> serde_json::Value {
        let mut result = serde_json::json!({"step_id": self.step_id(at)});
        if let Some(attempt) = attempt {
            result["attempt"] = attempt.into();
        }
        match outcome {
            Outcome::Success => {
                result["status"] = "success".into();
                result["result_data"] = serde_json::json!({"n": value});
            }
            Outcome::Failure { retryable, after } => {
                result["status"] = "failure".into();
                result["error"] = serde_json::json!({"message": "no", "retryable": retryable});
                if let Some(after) = after {
                    result["orchestration_metadata"] = retry_after(after);
                }
            }
        }
        result
    }

    pub fn report_many(&mut self, attempts: Vec<Attempt>, outcome: Outcome) -> Check {
        if attempts.is_empty() {
            return Ok(());
        }
        let (mut expected, mut results) = (Vec::new(), Vec::new());
        let before = self.model.results.len();
        for (at, attempt) in &attempts {
            self.values += 1;
            let value = self.values;
            results.push(format!("'{}'", self.result((*at, Some(*attempt)), outcome, value)));
            let cancelled = self.model.was_cancelled((*at, *attempt));
            expected.push(match self.model.report((*at, *attempt), outcome, value) {
                Ok(()) => "queued",
                Err(_) if cancelled => "cancelled",
                Err(_) => "late",
            });
        }
        // They are sent in the order of their steps.
        self.model.results[before..].sort_by_key(|result| match result {
            Post::Good(result) => Some(result.at),
            Post::Bad(_) => None,
        });
        let sql = format!("select outcome from tasker.complete_steps(array[{}]::jsonb[])", results.join(", "));
        let what = format!("complete_steps of {}: {outcome:?}", show(&attempts));
        self.agree(&what, &expected.join(", "), &sql)
    }

    pub fn exchange(&mut self, attempts: Vec<Attempt>, outcome: Outcome, take: bool) -> Check {
        let (mut reports, mut results) = (Vec::new(), Vec::new());
        for (at, attempt) in &attempts {
            self.values += 1;
            reports.push(((*at, *attempt), outcome, self.values));
            results.push(format!("'{}'", self.result((*at, Some(*attempt)), outcome, self.values)));
        }
        let outcomes = self.model.advance(reports).join(", ");
        let results = format!("array[{}]::jsonb[]", results.join(", "));
        let what = format!("advance of {}: {outcome:?}", show(&attempts));
        if !take {
            let sql = format!("select outcome from tasker.complete_steps({results}, advance => true)");
            return self.agree(&what, &outcomes, &sql);
        }
        // All that is there: what has just been enqueued need not be in the model's order.
        let given = self.model.poll(ALL, None, (None, None));
        let mut expected: Vec<_> = given.iter().map(|(at, attempt)| (self.step_id(*at), *attempt)).collect();
        expected.sort_unstable();
        let expected: Vec<_> = expected.iter().map(|(step_id, attempt)| format!("{step_id}|{attempt}")).collect();
        let from = format!("tasker.exchange_steps('{}', {results}, {ALL})", self.namespace);
        let what = format!("{what} ({outcomes}), then poll_steps: {}", show(&given));
        self.given.extend(given);
        self.agree(&what, &expected.join(", "), &format!("select step_id, attempt from {from} order by step_id"))
    }

    pub fn extend(&mut self, (at, attempt): Attempt, lease: Option<Ms>) -> Check {
        let expected = if self.model.extend((at, attempt), lease) { "t" } else { "f" };
        let sql = format!("select tasker.extend_step({}, {attempt}, {})", self.step_id(at), interval(lease));
        self.agree(&format!("extend_step({at}, {attempt}, {lease:?})"), expected, &sql)
    }

    pub fn release(&mut self, attempts: Vec<Attempt>) -> Check {
        if attempts.is_empty() {
            return Ok(());
        }
        let released = attempts.iter().filter(|attempt| self.model.release(**attempt)).count();
        let step_ids: Vec<_> = attempts.iter().map(|(at, _)| self.step_id(*at).to_string()).collect();
        let numbers: Vec<_> = attempts.iter().map(|(_, attempt)| attempt.to_string()).collect();
        let sql = format!("select tasker.release_steps('{{{}}}', '{{{}}}')", step_ids.join(","), numbers.join(","));
        self.agree(&format!("release_steps of {}", show(&attempts)), &released.to_string(), &sql)
    }
}

fn retry_after(after: Ms) -> serde_json::Value {
    serde_json::json!({"headers": {"retry-after": (after / 1000).to_string()}})
}

fn interval(length: Option<Ms>) -> String {
    length.map_or_else(|| "null".to_string(), |length| format!("interval '{length} ms'"))
}

fn show(attempts: &[Attempt]) -> String {
    let shown: Vec<_> = attempts.iter().map(|(at, attempt)| format!("{at} attempt {attempt}")).collect();
    if shown.is_empty() { "nothing".to_string() } else { shown.join(", ") }
}
