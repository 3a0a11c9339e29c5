//! Each action, played against the model first and then against the database: here requests, time and the pass.

mod claims;
mod operators;
mod trouble;
mod workers;

use crate::compare::{Check, same};
use crate::database::{Answer, milliseconds, time};
use crate::game::Game;
use crate::model::{Ms, Post, Request};
use crate::pass::BATCH_SIZE;
use crate::plan::{Action, name};

impl Game<'_> {
    pub fn request(&mut self, action: &Action) -> Check {
        let Action::Request { template, priority, bypass, key, context, run_in, by_queue } = action else {
            return Ok(());
        };
        let number = usize::from(*template) % self.model.templates.len();
        let bypassed = self.model.templates[number].bypassed(*bypass);
        let run_at = run_in.map(|run_in| self.model.now + run_in);
        let request = Request { template: number, priority: *priority, bypassed, key: *key, context: *context, run_at };
        let names: Vec<_> = request.bypassed.iter().map(|place| name(*place)).collect();
        let arguments = format!(
            "context => '{{\"c\": {context}}}', priority => {priority}, idempotency_key => {}, run_at => {}, bypass_steps => '{{{}}}'",
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
        let what = format!("request_task of t{number}, task {task}: {}", short(&arguments));
        if task < before {
            return self.agree(&what, &self.task_ids[task].to_string(), &sql);
        }
        self.agree_on_success(&what, &sql)
    }

    fn request_by_queue(&mut self, request: Request, arguments: &str) -> Check {
        let names: Vec<_> = request.bypassed.iter().map(|place| name(*place)).collect();
        let message = serde_json::json!({
            "namespace": self.namespace, "name": format!("t{}", request.template), "context": {"c": request.context},
            "priority": request.priority, "idempotency_key": request.key.map(|key| format!("k{key}")),
            "bypass_steps": names,
        });
        let run_at = request.run_at.map(|at| format!("|| jsonb_build_object('run_at', {})", time(at)));
        let sql = format!(
            "select pgmq.send('orchestration_task_requests', '{message}'::jsonb {})",
            run_at.unwrap_or_default()
        );
        let what = format!("request of t{} by queue: {}", request.template, short(arguments));
        self.model.requests.push(Post::Good(request));
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
        let columns = "accepted|settled|late|rejected|started|enqueued|finished";
        let counted = same(&format!("what the pass did ({columns})"), &self.passed.row(), counts);
        // Both: what it has done tells more than how much.
        match (counted, self.compare()) {
            (Err(counted), Err(state)) => return Err(format!("{counted}\n\n{state}")),
            (counted, state) => counted.and(state)?,
        }
        self.comes_back_in_time(more == "t", next_due.parse().ok())?;
        self.compare_statuses()?;
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
}

fn answer_of(result: Result<(), &str>, success: &str) -> String {
    result.map_or_else(|state| format!("error {state}"), |()| success.to_string())
}

/// The arguments of a request without those that have their defaults.
fn short(arguments: &str) -> String {
    let defaults = ["priority => 2, ", "idempotency_key => null, ", "run_at => null, ", ", bypass_steps => '{}'"];
    defaults.iter().fold(arguments.to_string(), |text, default| text.replace(default, ""))
}
