//! Each action, played against the model first and then against the database.

use crate::compare::{Check, same};
use crate::database::{Answer, milliseconds, time};
use crate::game::{Game, choose, choose_fitting};
use crate::model::{At, Message, Ms, Request, StepState, TaskState};
use crate::plan::{Action, How, Outcome, Pick, name};
use crate::workers::Attempt;

/// `tasker.batch_size`.
const BATCH_SIZE: usize = 500;
/// More than there ever are.
const ALL: usize = 1_000;

impl Game<'_> {
    // requests and time ------------------------------------------------------------------------------------------

    pub fn request(&mut self, action: &Action) -> Check {
        let Action::Request { template, priority, bypass, key, run_in, by_queue } = action else { return Ok(()) };
        let number = usize::from(*template) % self.model.templates.len();
        let bypassed = self.model.templates[number].bypassed(*bypass);
        let run_at = run_in.map(|run_in| self.model.now + run_in);
        let request = Request { template: number, priority: *priority, bypassed, key: *key, run_at };
        let names: Vec<_> = request.bypassed.iter().map(|place| name(*place)).collect();
        let arguments = format!(
            "priority => {priority}, idempotency_key => {}, run_at => {}, bypass_steps => '{{{}}}'",
            key.map_or_else(|| "null".to_string(), |key| format!("'k{key}'")),
            run_at.map_or_else(|| "null".to_string(), time),
            names.join(","),
        );
        if *by_queue {
            return self.request_by_queue(request, &arguments);
        }
        let before = self.model.tasks.len();
        let task = self.model.request(request);
        let sql = format!("select tasker.request_task('{}', 't{number}', {arguments})", self.namespace);
        let what = format!("request_task of t{number} ({arguments}), task {task}");
        if task < before {
            return self.agree(&what, &self.task_ids[task].to_string(), &sql);
        }
        self.agree_on_success(&what, &sql)
    }

    fn request_by_queue(&mut self, request: Request, arguments: &str) -> Check {
        let names: Vec<_> = request.bypassed.iter().map(|place| name(*place)).collect();
        let message = serde_json::json!({
            "namespace": self.namespace, "name": format!("t{}", request.template), "context": {},
            "priority": request.priority, "idempotency_key": request.key.map(|key| format!("k{key}")),
            "bypass_steps": names,
        });
        let run_at = request.run_at.map(|at| format!("|| jsonb_build_object('run_at', {})", time(at)));
        let sql = format!(
            "select pgmq.send('orchestration_task_requests', '{message}'::jsonb {})",
            run_at.unwrap_or_default()
        );
        let what = format!("request of t{} by queue ({arguments})", request.template);
        self.model.requests.push(request);
        self.agree_on_success(&what, &sql)
    }

    pub fn advance(&mut self, to: Ms) -> Check {
        if to > self.model.now {
            self.model.now = to;
            self.database.set_clock(to);
            self.log.push(format!("-- now it is {to} ms"));
        }
        Ok(())
    }

    pub fn pass(&mut self, batch: Option<usize>) -> Check {
        self.passed = self.model.pass(batch.unwrap_or(BATCH_SIZE));
        let sql = format!(
            "select accepted, settled, late, rejected, started, enqueued, finished, more, {} from tasker.orchestrate({})",
            milliseconds("next_due_at"),
            batch.map_or_else(|| "null".to_string(), |batch| batch.to_string()),
        );
        self.database.keep_timers_few();
        let answer = self.database.answer(&sql);
        let size = batch.map_or_else(String::new, |batch| format!(" of {batch}"));
        self.log.push(format!("pass{size} -> {}", self.passed));
        let Answer::Rows(found) = answer else { return Err(format!("the pass failed: {answer:?}")) };
        let mut columns = found.rsplitn(3, '|');
        let [next_due, more, counts] = [(); 3].map(|()| columns.next().unwrap_or_default());
        same(
            "what the pass did (accepted|settled|late|rejected|started|enqueued|finished)",
            &self.passed.row(),
            counts,
        )?;
        self.compare()?;
        self.comes_back_in_time(more == "t", next_due.parse().ok())?;
        match self.database.answer("select * from tasker.check()") {
            Answer::Rows(found) => same("tasker.check()", "", &found),
            error => Err(format!("tasker.check(): {error:?}")),
        }
    }

    /// At once where there is more to do, and no later than when the next thing is due.
    fn comes_back_in_time(&self, more: bool, next_due: Option<Ms>) -> Check {
        if self.model.has_more() && !more {
            return Err("the pass has left something to do, and does not say `more`".to_string());
        }
        match self.model.next_due() {
            Some(due) if next_due.is_none_or(|found| found > due) => {
                Err(format!("something is due at {due}, next_due_at is {next_due:?}"))
            }
            _ => Ok(()),
        }
    }

    // workers ----------------------------------------------------------------------------------------------------

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
        if how == How::Function { self.poll(1, None) } else { self.pop() }
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
        self.given.extend(message.map(|message| (message.at, message.attempt)));
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

    pub fn poll(&mut self, quantity: usize, lease: Option<Ms>) -> Check {
        let given = self.model.poll(quantity, lease);
        let expected = given.iter().map(|(at, attempt)| format!("{}|{attempt}", self.step_id(*at)));
        let expected = expected.collect::<Vec<_>>().join(", ");
        let what = format!("poll_steps(qty => {quantity}, lease => {lease:?}): {}", show(&given));
        let lease = interval(lease);
        let sql = format!("select step_id, attempt from tasker.poll_steps('{}', {quantity}, {lease})", self.namespace);
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
        self.model.results.push(crate::model::Result { at, attempt, outcome, value, reported: false });
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
        self.model.results[before..].sort_by_key(|result| result.at);
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
        let given = self.model.poll(ALL, None);
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

    // operators --------------------------------------------------------------------------------------------------

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
}

fn answer_of(result: Result<(), &str>, success: &str) -> String {
    result.map_or_else(|state| format!("error {state}"), |()| success.to_string())
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
