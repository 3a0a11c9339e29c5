//! The reference model: what DESIGN says of tasks, steps, messages and waiting work, over plain vectors. It is written
//! for clarity: whatever can be computed from the graph is computed, nothing is counted along.
//!
//! What workers do is in `workers`, what people do in `operators`, what an orchestrator outside does in `claims`, what the
//! orchestrator does in `pass`, what should not happen in `trouble`; how it is shown in `show`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::plan::{Outcome, Queue, Template};

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

    pub fn name(self) -> &'static str {
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

    pub fn name(self) -> &'static str {
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
    pub context: u8,
    pub deadlines: Vec<Ms>,
    /// None before it has started.
    pub steps: Vec<Step>,
}

/// What somebody has sent: what is meant for the queue, or a text that cannot be used.
#[derive(Clone, Debug)]
pub enum Post<T> {
    Good(T),
    Bad(String),
}

/// A message in the namespace's queue.
#[derive(Clone, Debug)]
pub struct Message {
    pub id: i64,
    pub reads: u32,
    /// The call that sent it, and whether its order in there is known.
    pub sent: (u32, bool),
    pub body: Post<Work>,
}

/// A step message.
#[derive(Clone, Debug)]
pub struct Work {
    pub at: At,
    pub attempt: u32,
    /// The results of the parents.
    pub sequence: Vec<Option<u32>>,
}

impl Message {
    pub fn attempt(&self) -> Option<(At, u32)> {
        match &self.body {
            Post::Good(work) => Some((work.at, work.attempt)),
            Post::Bad(_) => None,
        }
    }
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
    pub context: u8,
    pub run_at: Option<Ms>,
}

/// A message in `rejected_messages`.
#[derive(Clone, Debug)]
pub struct Rejected {
    pub queue: Queue,
    pub text: String,
    /// The database's, once it is known.
    pub id: Option<i64>,
}

/// Of a task, by an orchestrator outside.
#[derive(Clone, Copy, Debug)]
pub struct Claim {
    pub by: u8,
    pub until: Ms,
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
    /// How many calls have sent step messages.
    pub sendings: u32,
    pub templates: Vec<Template>,
    pub limit: Option<i64>,
    pub paused: bool,
    pub tasks: Vec<Task>,
    pub waiting: BTreeSet<Waiting>,
    pub claims: BTreeMap<usize, Claim>,
    pub timers: Vec<Timer>,
    pub queue: Vec<Message>,
    pub requests: Vec<Post<Request>>,
    pub results: Vec<Post<Result>>,
    pub rejected: Vec<Rejected>,
    pub events: Vec<String>,
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
        let most = step.max_backoff.unwrap_or(MAX_BACKOFF);
        let policy = (step.base * step.backoff.multiple(self.step(at).attempts)).min(most);
        match after {
            Some(after) => Due(self.now + after, self.now + after),
            None => Due(self.now + policy * 9 / 10, self.now + (policy * 11 / 10).min(most)),
        }
    }

    /// Makes the task of a request, unless there is one that is the same. Returns its number.
    pub fn request(&mut self, request: Request) -> usize {
        if let Some(existing) = self.tasks.iter().position(|task| self.is_same(task, &request)) {
            return existing;
        }
        let Request { template, priority, bypassed, key, context, run_at } = request;
        let since = run_at.map_or(self.now, |run_at| run_at.max(self.now));
        let (state, stopping, deadlines, steps) = (TaskState::Pending, false, Vec::new(), Vec::new());
        self.tasks.push(Task {
            template,
            state,
            stopping,
            priority,
            since,
            run_at,
            bypassed,
            key,
            context,
            deadlines,
            steps,
        });
        let task = self.tasks.len() - 1;
        if since <= self.now {
            self.waiting.insert((task, None));
        }
        task
    }

    /// By its key; without one by its context, if the template says so and the task is not over.
    fn is_same(&self, task: &Task, request: &Request) -> bool {
        let strict = self.templates[request.template].strict && !task.state.is_over();
        task.template == request.template
            && task.key == request.key
            && (request.key.is_some() || strict && task.context == request.context)
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

    /// `execution_status` of a task that has started, with its `ready_steps`.
    pub fn execution_status(&self, task: usize) -> (usize, &'static str) {
        let steps = self.steps_of(task);
        let due = |at: &At| self.step(*at).due.is_some_and(|due| due.1 <= self.now) && self.goes_on(task);
        let ready = steps.iter().filter(|at| self.is_ready(**at) || due(at)).count();
        let any = |holds: fn(StepState) -> bool| steps.iter().any(|at| holds(self.step(*at).state));
        let status = match () {
            () if ready > 0 => "has_ready_steps",
            () if any(StepState::in_flight) => "processing",
            () if any(|state| state == StepState::Error) => "blocked_by_failures",
            () if !any(|state| matches!(state, StepState::Pending | StepState::WaitingForRetry)) => "all_complete",
            () => "waiting_for_dependencies",
        };
        (ready, status)
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
        self.end_task(task, if failed { TaskState::Error } else { TaskState::Complete });
    }

    pub fn end_task(&mut self, task: usize, state: TaskState) {
        self.tasks[task].state = state;
        self.claims.remove(&task);
        let end = match state {
            TaskState::Complete => "completed",
            TaskState::Error => "failed",
            _ => "cancelled",
        };
        self.publish(task, format!("task_{end} {task}"));
    }

    pub fn publish(&mut self, task: usize, event: String) {
        if self.template(task).events {
            self.events.push(event);
        }
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
            self.queue.retain(|message| message.attempt() != Some((at, attempt)));
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
            .chain(self.claims.values().map(|claim| claim.until))
            .filter(|at| *at > self.now)
            .min()
    }

    /// Is the attempt still out and unreported?
    pub fn is_watched(&self, timer: &Timer) -> bool {
        let step = self.step(timer.at);
        let state = if timer.watch == Watch::Lease { StepState::InProgress } else { StepState::Enqueued };
        step.attempts == timer.attempt && step.state == state && step.report.is_none()
    }
}
