//! What a pass of the orchestrator does, in the model.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::mem::take;

use crate::model::{
    self, At, Due, Message, Model, Ms, Post, Step, StepState, Task, TaskState, Timer, Waiting, Watch, Work,
};
use crate::plan::{Outcome, Queue};
use crate::workers::Attempt;

/// `tasker.batch_size`.
pub const BATCH_SIZE: usize = 500;
/// When an attempt is looked at again whose result is on its way.
const LITTLE_LATER: Ms = 50;

/// What a pass has done, as `orchestrate()` tells it.
#[derive(Debug, Default, PartialEq)]
pub struct Passed {
    pub accepted: usize,
    pub settled: usize,
    pub late: usize,
    pub rejected: usize,
    pub started: usize,
    pub enqueued: usize,
    pub finished: usize,
}

impl Passed {
    fn counts(&self) -> [(&'static str, usize); 7] {
        let Passed { accepted, settled, late, rejected, started, enqueued, finished } = *self;
        [
            ("accepted", accepted),
            ("settled", settled),
            ("late", late),
            ("rejected", rejected),
            ("started", started),
            ("enqueued", enqueued),
            ("finished", finished),
        ]
    }

    /// As a row of `orchestrate()`.
    pub fn row(&self) -> String {
        self.counts().map(|(_, count)| count.to_string()).join("|")
    }
}

/// What is not zero.
impl fmt::Display for Passed {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let done = self.counts().into_iter().filter(|(_, count)| *count > 0);
        let done: Vec<_> = done.map(|(what, count)| format!("{count} {what}")).collect();
        f.write_str(if done.is_empty() { "nothing" } else { "" })?;
        f.write_str(&done.join(", "))
    }
}

/// One attempt's end; results where it succeeded and has not reported them before.
struct End {
    at: At,
    outcome: Outcome,
    results: Option<u32>,
}

impl Model {
    /// `batch`: how many messages of each queue it takes at most, and how much of what waits.
    pub fn pass(&mut self, batch: usize) -> Passed {
        let mut passed = Passed::default();
        let rejected = self.rejected.len();
        passed.accepted = self.accept(batch);
        (passed.settled, passed.late) = self.settle(batch);
        passed.rejected = self.rejected.len() - rejected;
        let retries = self.fire();
        (passed.started, passed.enqueued) = self.claim(retries, batch);
        passed.finished = self.finish_all();
        self.sendings += 1;
        passed
    }

    /// Settles results in the worker's own call, and enqueues what there is room for then. Returns what became of each.
    pub fn advance(&mut self, results: Vec<(Attempt, Outcome, u32)>) -> Vec<&'static str> {
        let mut ends = Vec::<End>::new();
        let mut settled = Vec::new();
        for ((at, attempt), outcome, value) in &results {
            let first = self.is_open((*at, *attempt)) && ends.iter().all(|end| end.at != *at);
            if first {
                ends.push(End { at: *at, outcome: *outcome, results: Some(*value) });
            }
            settled.push(first);
        }
        if !ends.is_empty() {
            self.end_attempts(ends);
            self.claim(Vec::new(), BATCH_SIZE);
            self.finish_all();
            self.sendings += 1;
        }
        let tell = |((attempt, ..), settled): (&(Attempt, Outcome, u32), bool)| match settled {
            true => "settled",
            false if self.was_cancelled(*attempt) => "cancelled",
            false => "late",
        };
        results.iter().zip(settled).map(tell).collect()
    }

    /// Is there something left that the next pass can do at once?
    pub fn has_more(&self) -> bool {
        let waiting = self.unclaimed().into_iter().collect();
        !self.requests.is_empty() || !self.results.is_empty() || !self.first_that_fit(waiting, self.room()).is_empty()
    }

    fn accept(&mut self, batch: usize) -> usize {
        let requests: Vec<_> = self.requests.drain(..batch.min(self.requests.len())).collect();
        let mut accepted = 0;
        for request in requests {
            match request {
                Post::Good(request) => {
                    self.request(request);
                    accepted += 1;
                }
                Post::Bad(text) => self.reject(Queue::Requests, text),
            }
        }
        accepted
    }

    /// The first result of an attempt in flight counts, or the report of a function; all others are late.
    fn settle(&mut self, batch: usize) -> (usize, usize) {
        let results: Vec<_> = self.results.drain(..batch.min(self.results.len())).collect();
        let (mut good, mut ends) = (0, Vec::<End>::new());
        for result in results {
            let result = match result {
                Post::Good(result) => result,
                Post::Bad(text) => {
                    self.reject(Queue::Results, text);
                    continue;
                }
            };
            good += 1;
            if ends.iter().all(|end| end.at != result.at) {
                ends.extend(self.end_of(&result));
            }
        }
        let settled = ends.len();
        self.end_attempts(ends);
        (settled, good - settled)
    }

    fn end_of(&self, result: &model::Result) -> Option<End> {
        let step = self.step(result.at);
        let current = step.state.in_flight()
            && result.attempt.is_none_or(|attempt| attempt == step.attempts)
            && result.reported == step.report.is_some();
        current.then_some(match step.report {
            Some(outcome) => End { at: result.at, outcome, results: step.results },
            None => End { at: result.at, outcome: result.outcome, results: Some(result.value) },
        })
    }

    /// All of them end first; then what they stop is stopped.
    fn end_attempts(&mut self, ends: Vec<End>) {
        let mut failed_for_good = Vec::new();
        for End { at, outcome, results } in ends {
            match outcome {
                Outcome::Success => {
                    let step = self.step_mut(at);
                    (step.state, step.results) = (StepState::Complete, results);
                    self.publish(at.task, format!("step_completed {at}"));
                }
                Outcome::Failure { retryable, after } => {
                    if !self.fail_attempt(at, retryable, after) {
                        failed_for_good.push(at.task);
                    }
                }
            }
        }
        for task in failed_for_good {
            if self.template(task).fail_fast {
                self.stop(task);
            }
        }
    }

    /// Returns whether it is tried again.
    fn fail_attempt(&mut self, at: At, retryable: bool, after: Option<Ms>) -> bool {
        let (has_more, due) = (self.step(at).attempts < self.step(at).max_attempts, self.retry_due(at, after));
        let again = self.template(at.task).steps[at.step].retryable && retryable && has_more && self.goes_on(at.task);
        let step = self.step_mut(at);
        if again {
            (step.state, step.due) = (StepState::WaitingForRetry, Some(due));
        } else {
            step.state = StepState::Error;
            let reason = if has_more { "not_retryable" } else { "retries_exhausted" };
            if self.tasks[at.task].state != TaskState::Cancelled {
                self.dead_letters.push(((at.task, Some(at.step)), reason));
            }
            self.publish(at.task, format!("step_failed {at}"));
        }
        again
    }

    fn stop(&mut self, task: usize) {
        if self.goes_on(task) {
            self.tasks[task].stopping = true;
            self.cancel_steps(task);
        }
    }

    /// Returns the steps whose retry delay is over.
    fn fire(&mut self) -> Vec<At> {
        self.fire_starts();
        self.fire_deadlines();
        self.expire_claims();
        let mut retries = self.steps();
        retries.retain(|at| {
            let due = self.step(*at).due.is_some_and(|Due(_, latest)| latest <= self.now);
            due && !self.waiting.contains(&(at.task, Some(at.step)))
        });
        self.fire_leases();
        retries.retain(|at| self.step(*at).state == StepState::WaitingForRetry && self.goes_on(at.task));
        retries
    }

    fn fire_starts(&mut self) {
        for (number, task) in self.tasks.iter().enumerate() {
            if task.state == TaskState::Pending && task.since <= self.now {
                self.waiting.insert((number, None));
            }
        }
    }

    /// A task whose last step has just been settled made it in time.
    fn fire_deadlines(&mut self) {
        for task in 0..self.tasks.len() {
            let now = self.now;
            let before = self.tasks[task].deadlines.len();
            self.tasks[task].deadlines.retain(|deadline| *deadline > now);
            if self.tasks[task].deadlines.len() < before && self.goes_on(task) && self.is_active(task) {
                self.dead_letters.push(((task, None), "deadline"));
                self.stop(task);
            }
        }
    }

    fn fire_leases(&mut self) {
        let (due, later) = take(&mut self.timers).into_iter().partition(|timer: &Timer| timer.fire_at <= self.now);
        self.timers = later;
        let mut lost = BTreeMap::<_, Vec<_>>::new();
        for timer in due {
            if !self.is_watched(&timer) {
                continue;
            }
            let timeout = self.timeout(timer.at);
            match self.judge(&timer) {
                Some(next) => self.timers.push(next),
                None => lost.entry((timer.watch, timeout)).or_default().push(timer),
            }
        }
        for timers in lost.into_values() {
            self.lose_attempts(timers);
        }
    }

    /// The next look at an attempt, or None when it is lost.
    fn judge(&self, timer: &Timer) -> Option<Timer> {
        let Timer { watch, at, attempt, .. } = *timer;
        let step = self.step(at);
        let later = self.now + self.timeout(at);
        let message = self.queue.iter().find(|message| message.attempt() == Some((at, attempt)));
        let (watch, fire_at) = match (step.extended.filter(|until| *until > self.now), watch, message) {
            (Some(until), _, _) => (watch, until),
            (None, Watch::Queued, None) => (Watch::Absent, later),
            (None, Watch::Queued, Some(message)) if message.reads <= step.max_attempts => (Watch::Queued, later),
            _ => return None,
        };
        Some(Timer { fire_at, watch, at, attempt })
    }

    /// A lease never overtakes a report: what has a result in the queue is looked at again.
    fn lose_attempts(&mut self, mut timers: Vec<Timer>) {
        let reported = timers.extract_if(.., |timer| self.has_result(timer.at));
        let later: Vec<_> = reported.map(|timer| Timer { fire_at: self.now + LITTLE_LATER, ..timer }).collect();
        self.timers.extend(later);
        timers.retain(|timer| self.is_watched(timer));
        for timer in &timers {
            self.withdraw_message(timer.at);
        }
        let outcome = Outcome::Failure { retryable: true, after: None };
        self.end_attempts(timers.iter().map(|timer| End { at: timer.at, outcome, results: None }).collect());
    }

    /// Returns how many tasks were started and how many steps enqueued.
    fn claim(&mut self, retries: Vec<At>, batch: usize) -> (usize, usize) {
        let before = self.unclaimed();
        let waited = !before.is_empty();
        let competes = !self.first_that_fit(before.into_iter().collect(), i64::MAX).is_empty();
        let fresh = self.steps().into_iter().filter(|at| self.is_ready(*at)).chain(retries);
        let fresh: Vec<_> = fresh.map(|at| (at.task, Some(at.step))).collect();
        self.waiting.extend(fresh.iter().copied());
        let candidates = self.unclaimed();

        let room = self.room();
        let most = if waited { room.min(batch.try_into().unwrap_or(i64::MAX)) } else { room };
        let chosen = self.first_that_fit(candidates.iter().copied().collect(), most);
        self.waiting.retain(|waiting| !chosen.contains(waiting));
        let (tasks, mut steps): (Vec<_>, Vec<_>) = chosen.into_iter().partition(|(_, step)| step.is_none());
        for (task, _) in &tasks {
            self.start(*task);
            steps.extend(
                self.steps_of(*task).into_iter().filter(|at| self.is_ready(*at)).map(|at| (*task, Some(at.step))),
            );
        }
        let enqueued = self.first_that_fit(steps.clone(), room);
        let left_over = fresh.iter().any(|step| candidates.contains(step) && !enqueued.contains(step));
        // Without a competitor the order is that of the results.
        let ordered = competes || left_over || steps.iter().any(|(task, _)| self.template(*task).limit.is_some());
        self.waiting.extend(steps.into_iter().filter(|step| !enqueued.contains(step)));
        self.enqueue_all(&enqueued, ordered);
        (tasks.len(), enqueued.len())
    }

    pub fn enqueue_all(&mut self, steps: &[Waiting], ordered: bool) {
        for (task, step) in steps {
            self.enqueue(At { task: *task, step: step.unwrap_or_default() }, ordered);
        }
    }

    pub fn room(&self) -> i64 {
        match self.limit {
            _ if self.paused => 0,
            Some(limit) => (limit - self.in_flight(None)).max(0),
            None => i64::MAX,
        }
    }

    /// The first candidates in order of computed priority, as far as there is room and their templates have some. A
    /// task to start counts as one step here.
    pub fn first_that_fit(&self, mut candidates: Vec<Waiting>, mut room: i64) -> Vec<Waiting> {
        candidates.sort_by(|a, b| self.comes_first(a.0, b.0).then(a.cmp(b)));
        let left = |(number, template): (usize, &crate::plan::Template)| {
            template.limit.map_or(i64::MAX, |limit| limit - self.in_flight(Some(number)))
        };
        let mut rooms: Vec<_> = self.templates.iter().enumerate().map(left).collect();
        candidates.retain(|(task, _)| {
            let own = &mut rooms[self.tasks[*task].template];
            let fits = room > 0 && *own > 0;
            if fits {
                (room, *own) = (room - 1, *own - 1);
            }
            fits
        });
        candidates
    }

    pub fn comes_first(&self, a: usize, b: usize) -> Ordering {
        let (urgency_a, urgency_b) = (self.computed_priority(a), self.computed_priority(b));
        urgency_b.total_cmp(&urgency_a).then(self.tasks[a].since.cmp(&self.tasks[b].since)).then(a.cmp(&b))
    }

    fn computed_priority(&self, task: usize) -> f64 {
        const MINUTES_TO_THE_TOP: [f64; 5] = [3.0, 5.0, 8.0, 9.0, 10.0];
        let Task { priority, since, .. } = &self.tasks[task];
        let (class, age) = (*priority as f64, (self.now - since).max(0) as f64 / 1000.0);
        class + (6.0 - class) * (age / (60.0 * MINUTES_TO_THE_TOP[*priority])).min(1.0)
    }

    pub fn start(&mut self, task: usize) {
        let template = self.template(task).clone();
        let row = &mut self.tasks[task];
        row.state = TaskState::InProgress;
        row.deadlines.extend(template.minutes.map(|minutes| self.now + minutes * 60_000));
        row.steps = template
            .steps
            .iter()
            .enumerate()
            .map(|(place, step)| Step {
                state: if row.bypassed.contains(&place) { StepState::Skipped } else { StepState::Pending },
                attempts: 0,
                max_attempts: step.max_attempts,
                report: None,
                results: None,
                due: None,
                extended: None,
            })
            .collect();
    }

    fn enqueue(&mut self, at: At, ordered: bool) {
        let step = self.step_mut(at);
        (step.state, step.report, step.due, step.extended) = (StepState::Enqueued, None, None, None);
        step.attempts += 1;
        let attempt = step.attempts;
        let parents = &self.template(at.task).steps[at.step].parents;
        let sequence = parents.iter().map(|parent| self.tasks[at.task].steps[*parent].results).collect();
        let body = Post::Good(Work { at, attempt, sequence });
        self.queue.push(Message { id: 0, reads: 0, sent: (self.sendings, ordered), body });
        let fire_at = self.now + self.timeout(at);
        self.timers.push(Timer { fire_at, watch: Watch::Queued, at, attempt });
    }

    fn finish_all(&mut self) -> usize {
        let mut over: Vec<_> = (0..self.tasks.len()).collect();
        over.retain(|task| self.tasks[*task].state == TaskState::InProgress && !self.is_active(*task));
        for task in &over {
            self.finish(*task);
        }
        over.len()
    }
}
