//! The reference model: what DESIGN says of tasks, steps, messages and waiting work, over plain vectors. It is written
//! for clarity: whatever can be computed from the graph is computed, nothing is counted along.
//!
//! What workers do is in `workers`, what people do in `operators`, what the orchestrator does in `pass`.

use std::collections::BTreeSet;
use std::fmt;

use crate::plan::{Outcome, Template};

/// Milliseconds, as a time since the game began.
pub type Ms = i64;

/// `tasker.step_timeout`.
const STEP_TIMEOUT: Ms = 300_000;
/// `tasker.max_backoff`.
const MAX_BACKOFF: Ms = 300_000;

/// A step: its task, and its place in the template.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct At {
    pub task: usize,
    pub step: usize,
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}.{}", self.task, self.step)
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TaskState {
    Pending,
    InProgress,
    Complete,
    Error,
    Cancelled,
}

impl TaskState {
    pub fn is_over(self) -> bool {
        !matches!(self, TaskState::Pending | TaskState::InProgress)
    }

    fn name(self) -> &'static str {
        match self {
            TaskState::Pending => "pending",
            TaskState::InProgress => "in_progress",
            TaskState::Complete => "complete",
            TaskState::Error => "error",
            TaskState::Cancelled => "cancelled",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum StepState {
    Pending,
    Enqueued,
    InProgress,
    WaitingForRetry,
    Complete,
    Error,
    Cancelled,
    ResolvedManually,
    Skipped,
}

impl StepState {
    pub fn in_flight(self) -> bool {
        matches!(self, StepState::Enqueued | StepState::InProgress)
    }

    /// Does it release its children?
    fn counts_as_completed(self) -> bool {
        matches!(self, StepState::Complete | StepState::ResolvedManually | StepState::Skipped)
    }

    fn name(self) -> &'static str {
        match self {
            StepState::Pending => "pending",
            StepState::Enqueued => "enqueued",
            StepState::InProgress => "in_progress",
            StepState::WaitingForRetry => "waiting_for_retry",
            StepState::Complete => "complete",
            StepState::Error => "error",
            StepState::Cancelled => "cancelled",
            StepState::ResolvedManually => "resolved_manually",
            StepState::Skipped => "skipped",
        }
    }
}

/// When a retry is due: not before, not after. Jitter lies between, until the database says which it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Due(pub Ms, pub Ms);

#[derive(Clone, Debug)]
pub struct Step {
    pub state: StepState,
    pub attempts: u32,
    pub max_attempts: u32,
    /// What `complete_step` or `fail_step` said of the attempt that is in flight.
    pub report: Option<Outcome>,
    pub results: Option<u32>,
    pub due: Option<Due>,
    /// Until when `extend_step` has extended the attempt.
    pub extended: Option<Ms>,
}

#[derive(Clone, Debug)]
pub struct Task {
    pub template: usize,
    pub state: TaskState,
    pub stopping: bool,
    pub priority: usize,
    pub since: Ms,
    /// When it is not to start before.
    pub run_at: Option<Ms>,
    pub bypassed: Vec<usize>,
    pub key: Option<u8>,
    pub deadlines: Vec<Ms>,
    /// None before it has started.
    pub steps: Vec<Step>,
}

/// A message in the namespace's queue.
#[derive(Clone, Debug)]
pub struct Message {
    pub id: i64,
    pub at: At,
    pub attempt: u32,
    pub reads: u32,
    /// The results of the parents.
    pub sequence: Vec<Option<u32>>,
    /// The pass that sent it, and whether its order in there is known.
    pub sent: (u32, bool),
}

/// A message in the results queue.
#[derive(Clone, Debug)]
pub struct Result {
    pub at: At,
    pub attempt: Option<u32>,
    pub outcome: Outcome,
    pub value: u32,
    /// Does it tell of a report in the step itself?
    pub reported: bool,
}

#[derive(Clone, Debug)]
pub struct Request {
    pub template: usize,
    pub priority: usize,
    pub bypassed: Vec<usize>,
    pub key: Option<u8>,
    pub run_at: Option<Ms>,
}

/// Looks after an attempt that is out. The order is that in which they are judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Watch {
    /// Its message was seen gone.
    Absent,
    /// A function worker has it.
    Lease,
    /// Its message is in the queue.
    Queued,
}

#[derive(Clone, Debug)]
pub struct Timer {
    pub fire_at: Ms,
    pub watch: Watch,
    pub at: At,
    pub attempt: u32,
}

/// What waits: a task to start, or a ready step.
pub type Waiting = (usize, Option<usize>);

#[derive(Debug, Default)]
pub struct Model {
    pub now: Ms,
    pub passes: u32,
    pub templates: Vec<Template>,
    pub limit: Option<i64>,
    pub paused: bool,
    pub tasks: Vec<Task>,
    pub waiting: BTreeSet<Waiting>,
    pub timers: Vec<Timer>,
    pub queue: Vec<Message>,
    pub requests: Vec<Request>,
    pub results: Vec<Result>,
    pub dead_letters: Vec<(Waiting, &'static str)>,
}

impl Model {
    pub fn new(templates: Vec<Template>, limit: Option<i64>) -> Model {
        Model { templates, limit, ..Model::default() }
    }

    pub fn step(&self, at: At) -> &Step {
        &self.tasks[at.task].steps[at.step]
    }

    pub fn step_mut(&mut self, at: At) -> &mut Step {
        &mut self.tasks[at.task].steps[at.step]
    }

    pub fn template(&self, task: usize) -> &Template {
        &self.templates[self.tasks[task].template]
    }

    /// The steps of the tasks that have started.
    pub fn steps(&self) -> Vec<At> {
        (0..self.tasks.len()).flat_map(|task| self.steps_of(task)).collect()
    }

    pub fn steps_of(&self, task: usize) -> Vec<At> {
        (0..self.tasks[task].steps.len()).map(|step| At { task, step }).collect()
    }

    pub fn timeout(&self, at: At) -> Ms {
        self.template(at.task).steps[at.step].timeout.unwrap_or(STEP_TIMEOUT)
    }

    /// When the failed attempt is tried again.
    pub fn retry_due(&self, at: At, after: Option<Ms>) -> Due {
        let step = &self.template(at.task).steps[at.step];
        let multiple = if step.linear { Ms::from(self.step(at).attempts) } else { 1 };
        let policy = (step.base * multiple).min(MAX_BACKOFF);
        match after {
            Some(after) => Due(self.now + after, self.now + after),
            None => Due(self.now + policy * 9 / 10, self.now + (policy * 11 / 10).min(MAX_BACKOFF)),
        }
    }

    /// Makes the task of a request, unless its key has one. Returns its number.
    pub fn request(&mut self, request: Request) -> usize {
        let Request { template, priority, bypassed, key, run_at } = request;
        let same = self.tasks.iter().position(|task| key.is_some() && task.key == key && task.template == template);
        if let Some(existing) = same {
            return existing;
        }
        let since = run_at.map_or(self.now, |run_at| run_at.max(self.now));
        let (state, stopping, deadlines, steps) = (TaskState::Pending, false, Vec::new(), Vec::new());
        self.tasks.push(Task { template, state, stopping, priority, since, run_at, bypassed, key, deadlines, steps });
        let task = self.tasks.len() - 1;
        if since <= self.now {
            self.waiting.insert((task, None));
        }
        task
    }

    pub fn goes_on(&self, task: usize) -> bool {
        self.tasks[task].state == TaskState::InProgress && !self.tasks[task].stopping
    }

    /// Have all of its parents completed?
    pub fn dependencies_satisfied(&self, at: At) -> bool {
        let parents = &self.template(at.task).steps[at.step].parents;
        parents.iter().all(|parent| self.tasks[at.task].steps[*parent].state.counts_as_completed())
    }

    pub fn is_ready(&self, at: At) -> bool {
        self.step(at).state == StepState::Pending && self.goes_on(at.task) && self.dependencies_satisfied(at)
    }

    /// Is something of the task ready, in flight or waiting for a retry?
    pub fn is_active(&self, task: usize) -> bool {
        self.steps_of(task).into_iter().any(|at| {
            let state = self.step(at).state;
            state.in_flight() || state == StepState::WaitingForRetry || self.is_ready(at)
        })
    }

    pub fn in_flight(&self, template: Option<usize>) -> i64 {
        let counts = |at: &At| {
            self.step(*at).state.in_flight() && template.is_none_or(|template| self.tasks[at.task].template == template)
        };
        self.steps().iter().filter(|at| counts(at)).count().try_into().unwrap_or(i64::MAX)
    }

    /// Ends a task with nothing left to do.
    pub fn finish(&mut self, task: usize) {
        let failed = self.tasks[task].stopping || self.tasks[task].steps.iter().any(|s| s.state == StepState::Error);
        self.tasks[task].state = if failed { TaskState::Error } else { TaskState::Complete };
    }

    /// Cancels all steps of a task that are not over, but for those reported already.
    pub fn cancel_steps(&mut self, task: usize) {
        for at in self.steps_of(task) {
            let step = self.step(at);
            let reported = step.state.in_flight() && step.report.is_some();
            let open = step.state.in_flight() || matches!(step.state, StepState::Pending | StepState::WaitingForRetry);
            if open && !reported {
                self.withdraw_message(at);
                let step = self.step_mut(at);
                (step.state, step.due) = (StepState::Cancelled, None);
            }
        }
        self.waiting.retain(|waiting| waiting.0 != task);
    }

    /// Takes the message of the attempt in flight from the queue, if nobody else has.
    pub fn withdraw_message(&mut self, at: At) {
        if self.step(at).state.in_flight() {
            let attempt = self.step(at).attempts;
            self.queue.retain(|message| (message.at, message.attempt) != (at, attempt));
        }
    }

    /// The next time at which a pass has something to do that nobody else will tell it.
    pub fn next_due(&self) -> Option<Ms> {
        let starts = self.tasks.iter().filter(|task| task.state == TaskState::Pending).filter_map(|task| task.run_at);
        let deadlines = self.tasks.iter().enumerate().filter(|(number, _)| self.goes_on(*number));
        let retries = self.steps().into_iter().filter(|at| !self.waiting.contains(&(at.task, Some(at.step))));
        let leases = self.timers.iter().filter(|timer| self.is_watched(timer)).map(|timer| timer.fire_at);
        starts
            .chain(deadlines.flat_map(|(_, task)| task.deadlines.clone()))
            .chain(retries.filter_map(|at| self.step(at).due.map(|due| due.1)))
            .chain(leases)
            .filter(|at| *at > self.now)
            .min()
    }

    /// Is the attempt still out and unreported?
    pub fn is_watched(&self, timer: &Timer) -> bool {
        let step = self.step(timer.at);
        let state = if timer.watch == Watch::Lease { StepState::InProgress } else { StepState::Enqueued };
        step.attempts == timer.attempt && step.state == state && step.report.is_none()
    }

    /// All of it as lines, which the database's own are compared with; messages apart, in their order.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![
            format!("orchestration_task_requests: {}", self.requests.len()),
            format!("orchestration_step_results: {}", self.results.len()),
        ];
        for (number, task) in self.tasks.iter().enumerate() {
            let stopping = if task.stopping { ", stopping" } else { "" };
            lines.push(format!("task {number}: {}{stopping}", task.state.name()));
        }
        lines.extend(self.steps().into_iter().map(|at| format!("step {at}: {}", self.step(at))));
        let open =
            self.steps().into_iter().filter(|at| self.step(*at).state.in_flight() && self.step(*at).report.is_none());
        let extended = open.filter_map(|at| Some((at, self.step(at).extended.filter(|until| *until > self.now)?)));
        lines.extend(extended.map(|(at, until)| format!("extended: {at} until {until}")));
        for (task, step) in &self.waiting {
            lines.push(format!("waiting: {}, since {}", subject((*task, *step)), self.tasks[*task].since));
        }
        let letters = self.dead_letters.iter();
        lines.extend(letters.map(|(about, reason)| format!("dead letter: {}, {reason}", subject(*about))));
        lines.sort();
        lines
    }
}

fn subject((task, step): Waiting) -> String {
    step.map_or_else(|| task.to_string(), |step| At { task, step }.to_string())
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}, attempt {} of {}", self.state.name(), self.attempts, self.max_attempts)?;
        if self.state.in_flight() && self.report.is_some() {
            write!(f, ", reported")?;
        }
        self.results.map_or(Ok(()), |results| write!(f, ", results {results}"))
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let show = |results: &Option<u32>| results.map_or_else(|| "-".to_string(), |results| results.to_string());
        let sequence: Vec<_> = self.sequence.iter().map(show).collect();
        write!(f, "{} attempt {}, read {}, sequence [{}]", self.at, self.attempt, self.reads, sequence.join(" "))
    }
}
