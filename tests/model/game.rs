//! Plays a plan against the model and the database, and says where they first differ.

use crate::database::{Answer, Database, milliseconds, time};
use crate::model::{At, Due, Message, Model, Ms, Request, StepState, TaskState};
use crate::pass::Passed;
use crate::plan::{Action, How, Outcome, Pick, Plan, name};
use crate::workers::Attempt;

/// How many rounds it may take until nothing is left to do.
const ROUNDS_TO_THE_END: usize = 300;

/// The first difference.
pub type Check = Result<(), String>;

pub struct Game<'a> {
    database: &'a mut Database,
    model: Model,
    namespace: String,
    /// The database's ids of the model's tasks.
    task_ids: Vec<i64>,
    /// All attempts that workers were given, in that order.
    given: Vec<Attempt>,
    /// Numbers for results, each used once.
    values: u32,
    /// What the last pass did.
    passed: Passed,
    /// What has been played, to be read by people.
    pub log: Vec<String>,
}

/// Plays a plan. Returns what was played, and the first difference.
pub fn play(database: &mut Database, plan: &Plan) -> (Vec<String>, Check) {
    let mut game = Game::new(database, plan);
    let check = game.play(plan);
    game.database.end_game();
    (game.log, check)
}

impl<'a> Game<'a> {
    fn new(database: &'a mut Database, plan: &Plan) -> Game<'a> {
        let namespace = database.begin_game(plan.limit);
        let model = Model::new(plan.templates.clone(), plan.limit);
        Game {
            database,
            model,
            namespace,
            task_ids: Vec::new(),
            given: Vec::new(),
            values: 0,
            passed: Passed::default(),
            log: Vec::new(),
        }
    }

    fn play(&mut self, plan: &Plan) -> Check {
        for (number, template) in plan.templates.iter().enumerate() {
            let definition = template.definition(&self.namespace, &format!("t{number}"));
            self.database.run(&format!("select tasker.register_template('{definition}'::jsonb)"));
        }
        for action in &plan.actions {
            self.act(action)?;
            self.compare()?;
        }
        self.finish()
    }

    fn act(&mut self, action: &Action) -> Check {
        match action {
            Action::Request { .. } => self.request(action),
            Action::Pass => self.pass(),
            Action::Advance(by) => self.advance(self.model.now + by),
            Action::AdvanceToNext => self.model.next_due().map_or(Ok(()), |due| self.advance(due)),
            Action::Pop => self.pop(),
            Action::Read => self.read(),
            Action::Delete(pick) => self.delete(*pick),
            Action::Poll { quantity, lease } => self.poll(*quantity, *lease),
            Action::Report { who, stale, how, outcome } => match self.attempt(*who, *stale) {
                Some(attempt) => self.report(attempt, *how, *outcome),
                None => Ok(()),
            },
            Action::ReportMany { who, stale, outcome } => {
                let attempts = who.iter().filter_map(|who| self.attempt(*who, *stale)).collect();
                self.report_many(attempts, *outcome)
            }
            Action::Extend { who, stale, lease } => match self.attempt(*who, *stale) {
                Some(attempt) => self.extend(attempt, *lease),
                None => Ok(()),
            },
            Action::Release { who, stale } => {
                let attempts = who.iter().filter_map(|who| self.attempt(*who, *stale)).collect();
                self.release(attempts)
            }
            Action::Cancel(pick) => self.cancel(*pick),
            Action::RetryStep(pick) => self.retry_step(*pick),
            Action::ResolveStep(pick) => self.resolve_step(*pick),
            Action::RetryTask(pick) => self.retry_task(*pick),
            Action::Pause => self.pause(true),
            Action::Resume => self.pause(false),
            Action::Limit(limit) => self.limit(*limit),
        }
    }

    // requests and time ------------------------------------------------------------------------------------------

    fn request(&mut self, action: &Action) -> Check {
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
            self.model.requests.push(request);
            let message = serde_json::json!({
                "namespace": self.namespace, "name": format!("t{number}"), "context": {}, "priority": priority,
                "idempotency_key": key.map(|key| format!("k{key}")), "bypass_steps": names,
            });
            let run_at = run_at.map_or_else(String::new, |at| format!("|| jsonb_build_object('run_at', {})", time(at)));
            let sql = format!("select pgmq.send('orchestration_task_requests', '{message}'::jsonb {run_at})");
            return self.agree_on_success(&format!("request of t{number} by queue ({arguments})"), &sql);
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

    fn advance(&mut self, to: Ms) -> Check {
        if to > self.model.now {
            self.model.now = to;
            self.database.set_clock(to);
            self.log.push(format!("-- now it is {to} ms"));
        }
        Ok(())
    }

    fn pass(&mut self) -> Check {
        self.passed = self.model.pass();
        let passed = &self.passed;
        let sql = format!(
            "select accepted, settled, late, rejected, started, enqueued, finished, {} from tasker.orchestrate()",
            milliseconds("next_due_at")
        );
        let answer = self.database.answer(&sql);
        self.log.push(format!("pass: {passed:?}"));
        let Answer::Rows(found) = answer else { return Err(format!("the pass failed: {answer:?}")) };
        let (counts, next_due) = found.rsplit_once('|').unwrap_or_default();
        let expected = [
            passed.accepted,
            passed.settled,
            passed.late,
            passed.rejected,
            passed.started,
            passed.enqueued,
            passed.finished,
        ];
        let expected = expected.map(|count| count.to_string()).join("|");
        same("what the pass did (accepted|settled|late|rejected|started|enqueued|finished)", &expected, counts)?;
        self.compare()?;
        self.is_told_in_time(next_due)?;
        match self.database.answer("select * from tasker.check()") {
            Answer::Rows(found) => same("tasker.check()", "", &found),
            error => Err(format!("tasker.check(): {error:?}")),
        }
    }

    /// A pass must not come back later than the next thing is due.
    fn is_told_in_time(&self, next_due: &str) -> Check {
        match (self.model.next_due(), next_due.parse::<Ms>()) {
            (Some(due), Ok(found)) if found <= due => Ok(()),
            (Some(due), found) => Err(format!("something is due at {due}, next_due_at is {found:?}")),
            (None, _) => Ok(()),
        }
    }

    // workers ----------------------------------------------------------------------------------------------------

    fn pop(&mut self) -> Check {
        let message = self.model.pop();
        self.take("pgmq.pop", message, "pgmq.pop($1)")
    }

    fn read(&mut self) -> Check {
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

    fn delete(&mut self, pick: Pick) -> Check {
        let mut read = self.model.queue.clone();
        read.retain(|message| message.reads > 0);
        let Some(message) = choose(&read, pick) else { return Ok(()) };
        self.model.queue.retain(|other| other.id != message.id);
        let sql = format!("select pgmq.delete('{}_queue', {})", self.namespace, message.id);
        self.agree(&format!("pgmq.delete: {message}"), "t", &sql)
    }

    fn poll(&mut self, quantity: usize, lease: Option<Ms>) -> Check {
        let given = self.model.poll(quantity, lease);
        let expected = given.iter().map(|(at, attempt)| format!("{}|{attempt}", self.step_id(*at)));
        let expected = expected.collect::<Vec<_>>().join(", ");
        let what = format!("poll_steps(qty => {quantity}, lease => {lease:?}): {}", show(&given));
        let lease = interval(lease);
        let sql = format!("select step_id, attempt from tasker.poll_steps('{}', {quantity}, {lease})", self.namespace);
        self.given.extend(given);
        self.agree(&what, &expected, &sql)
    }

    fn report(&mut self, (at, attempt): Attempt, how: How, outcome: Outcome) -> Check {
        self.values += 1;
        let value = self.values;
        let what = format!("{how:?} report of {at} attempt {attempt}: {outcome:?}");
        if how == How::Function {
            let expected = answer_of(self.model.report((at, attempt), outcome, value), "");
            let sql = self.report_call((at, attempt), outcome, value);
            return self.agree(&what, &expected, &sql);
        }
        let attempt = (how == How::Plain).then_some(attempt);
        self.model.results.push(crate::model::Result { at, attempt, outcome, value });
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

    fn report_many(&mut self, attempts: Vec<Attempt>, outcome: Outcome) -> Check {
        let (mut expected, mut results) = (Vec::new(), Vec::new());
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
        let sql = format!("select outcome from tasker.complete_steps(array[{}]::jsonb[])", results.join(", "));
        let what = format!("complete_steps of {}: {outcome:?}", show(&attempts));
        self.agree(&what, &expected.join(", "), &sql)
    }

    fn extend(&mut self, (at, attempt): Attempt, lease: Option<Ms>) -> Check {
        let expected = if self.model.extend((at, attempt), lease) { "t" } else { "f" };
        let sql = format!("select tasker.extend_step({}, {attempt}, {})", self.step_id(at), interval(lease));
        self.agree(&format!("extend_step({at}, {attempt}, {lease:?})"), expected, &sql)
    }

    fn release(&mut self, attempts: Vec<Attempt>) -> Check {
        let released = attempts.iter().filter(|attempt| self.model.release(**attempt)).count();
        let step_ids: Vec<_> = attempts.iter().map(|(at, _)| self.step_id(*at).to_string()).collect();
        let numbers: Vec<_> = attempts.iter().map(|(_, attempt)| attempt.to_string()).collect();
        let sql = format!("select tasker.release_steps('{{{}}}', '{{{}}}')", step_ids.join(","), numbers.join(","));
        self.agree(&format!("release_steps of {}", show(&attempts)), &released.to_string(), &sql)
    }

    // operators --------------------------------------------------------------------------------------------------

    fn cancel(&mut self, pick: Pick) -> Check {
        let Some(task) = self.task_in(pick, |state| !state.is_over()) else { return Ok(()) };
        let expected = if self.model.cancel(task) { "t" } else { "f" };
        let sql = format!("select tasker.cancel_task({})", self.task_ids[task]);
        self.agree(&format!("cancel_task({task})"), expected, &sql)
    }

    fn retry_step(&mut self, pick: Pick) -> Check {
        let mut failed = self.model.steps();
        failed.retain(|at| self.model.step(*at).state == StepState::Error);
        let Some(at) = choose(&failed, pick).or_else(|| choose(&self.model.steps(), pick)) else { return Ok(()) };
        let expected = answer_of(self.model.retry_step(at), "");
        self.agree(&format!("retry_step({at})"), &expected, &format!("select tasker.retry_step({})", self.step_id(at)))
    }

    fn resolve_step(&mut self, pick: Pick) -> Check {
        let Some(at) = choose(&self.model.steps(), pick) else { return Ok(()) };
        self.values += 1;
        let value = self.values;
        let expected = answer_of(self.model.resolve_step(at, value), "");
        let sql = format!("select tasker.resolve_step({}, '{{\"n\": {value}}}')", self.step_id(at));
        self.agree(&format!("resolve_step({at})"), &expected, &sql)
    }

    fn retry_task(&mut self, pick: Pick) -> Check {
        let Some(task) = self.task_in(pick, |state| state == TaskState::Error) else { return Ok(()) };
        let expected = match self.model.retry_task(task) {
            Ok(steps) => steps.to_string(),
            Err(state) => format!("error {state}"),
        };
        let sql = format!("select tasker.retry_task({})", self.task_ids[task]);
        self.agree(&format!("retry_task({task})"), &expected, &sql)
    }

    fn pause(&mut self, paused: bool) -> Check {
        self.model.paused = paused;
        let function = if paused { "pause_namespace" } else { "resume_namespace" };
        self.agree(function, "", &format!("select tasker.{function}('{}')", self.namespace))
    }

    fn limit(&mut self, limit: Option<i64>) -> Check {
        self.model.limit = limit;
        let shown = limit.map_or_else(|| "null".to_string(), |limit| limit.to_string());
        let sql = format!("select tasker.set_namespace_limit('{}', {shown})", self.namespace);
        self.agree(&format!("set_namespace_limit({shown})"), "", &sql)
    }

    // the end ----------------------------------------------------------------------------------------------------

    /// From now on all work succeeds, and time passes. Every task must end.
    fn finish(&mut self) -> Check {
        self.log.push("-- the end: all work succeeds now".to_string());
        self.pause(false)?;
        for _ in 0..ROUNDS_TO_THE_END {
            self.pass()?;
            let before = self.given.len();
            self.poll(100, None)?;
            let given = self.given.split_off(before);
            if !given.is_empty() {
                self.report_many(given, Outcome::Success)?;
            } else if self.passed == Passed::default() {
                if self.model.tasks.iter().all(|task| task.state.is_over()) {
                    return self.history_is_whole();
                }
                let due = self.model.next_due().ok_or("nothing is due, and yet a task has not ended")?;
                self.advance(due)?;
            }
            self.compare()?;
        }
        Err("it does not come to an end".to_string())
    }

    /// The transitions of each step lead from pending to the state that it is in.
    fn history_is_whole(&mut self) -> Check {
        let sql = format!(
            "select s.step_id, s.state, h.states
             from tasker.namespaces n
             join tasker.tasks t on t.namespace_id = n.namespace_id
             join tasker.steps s on s.task_id = t.task_id
             cross join lateral (
               select coalesce(bool_and(h.from_state = h.before), true) as linked, string_agg(h.to_state, ' ') as states,
                 coalesce((array_agg(h.to_state order by h.step_transition_id desc))[1], 'pending') as last
               from (
                 select st.*, lag(st.to_state, 1, 'pending') over (order by st.step_transition_id) as before
                 from tasker.step_transitions st where st.step_id = s.step_id) h) h
             where n.name = '{}' and (not h.linked or h.last <> s.state)",
            self.namespace
        );
        match self.database.answer(&sql) {
            Answer::Rows(found) => same("steps whose transitions do not lead to their state", "", &found),
            error => Err(format!("{error:?}")),
        }
    }

    // comparing --------------------------------------------------------------------------------------------------

    fn agree(&mut self, what: &str, expected: &str, sql: &str) -> Check {
        let answer = self.database.answer(sql);
        self.log.push(format!("{what} -> {expected}"));
        match answer {
            Answer::Rows(found) => same(what, expected, &found),
            Answer::Error(state, _) if expected == format!("error {state}") => Ok(()),
            Answer::Error(state, message) => same(what, expected, &format!("error {state} {message}")),
        }
    }

    fn agree_on_success(&mut self, what: &str, sql: &str) -> Check {
        self.log.push(what.to_string());
        match self.database.answer(sql) {
            Answer::Rows(_) => Ok(()),
            Answer::Error(state, message) => same(what, "success", &format!("error {state} {message}")),
        }
    }

    /// Is the database in the model's state? What chance decides (jitter, the order of what has none) is learnt here.
    fn compare(&mut self) -> Check {
        let (mut lines, mut messages, mut dues) = (Vec::new(), Vec::new(), Vec::new());
        self.task_ids.clear();
        for line in self.database.snapshot() {
            match line.kind.as_str() {
                "task" => self.task_ids.push(line.number),
                "message" => messages.push((line.number, line.text)),
                "due" => dues.push((line.text, line.number)),
                _ => lines.push(line.text),
            }
        }
        lines.sort();
        let expected = self.model.lines();
        let missing: Vec<_> = expected.iter().filter(|line| !lines.contains(line)).collect();
        let surplus: Vec<_> = lines.iter().filter(|line| !expected.contains(line)).collect();
        if !missing.is_empty() || !surplus.is_empty() || lines.len() != expected.len() {
            return Err(format!("expected {missing:#?}\nfound {surplus:#?}"));
        }
        self.compare_messages(messages)?;
        self.compare_dues(dues)
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

    // subjects ---------------------------------------------------------------------------------------------------

    fn step_id(&self, at: At) -> i64 {
        (self.task_ids[at.task] << 16) + 1 + i64::try_from(at.step).unwrap_or_default()
    }

    fn attempt(&self, who: Pick, stale: bool) -> Option<Attempt> {
        let mut open = self.given.clone();
        open.retain(|attempt| self.model.is_open(*attempt));
        choose(&open, who).filter(|_| !stale).or_else(|| choose(&self.given, who))
    }

    fn task_in(&self, pick: Pick, state: impl Fn(TaskState) -> bool) -> Option<usize> {
        let all: Vec<_> = (0..self.model.tasks.len()).collect();
        let mut fitting = all.clone();
        fitting.retain(|task| state(self.model.tasks[*task].state));
        choose(&fitting, pick).or_else(|| choose(&all, pick))
    }
}

fn same(what: &str, expected: &str, found: &str) -> Check {
    if expected == found { Ok(()) } else { Err(format!("{what}\nexpected {expected}\nfound    {found}")) }
}

fn choose<T: Clone>(list: &[T], pick: Pick) -> Option<T> {
    list.get(usize::from(pick) % list.len().max(1)).cloned()
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
