//! What a game is played with: templates, and actions that name their subjects by any number at all. A number is taken
//! modulo what there is when its turn comes, so every shorter sequence is a game as well, and games shrink.
//! How they are drawn is in `strategies`.

use serde_json::{Value, json};

use crate::model::Ms;

/// Chooses one of what there is.
pub type Pick = u8;

/// A game.
#[derive(Clone, Debug)]
pub struct Plan {
    /// `max_in_flight` of the namespace.
    pub limit: Option<i64>,
    pub templates: Vec<Template>,
    pub actions: Vec<Action>,
}

#[derive(Clone, Debug)]
pub struct Template {
    /// In template order, which need not be the order in which they can run.
    pub steps: Vec<Step>,
    pub fail_fast: bool,
    pub limit: Option<i64>,
    pub minutes: Option<i64>,
    /// Identity strategy strict: the same context is the same task while that goes on.
    pub strict: bool,
    /// Does it publish all ends?
    pub events: bool,
}

#[derive(Clone, Debug)]
pub struct Step {
    /// Places in the template, ascending.
    pub parents: Vec<usize>,
    pub max_attempts: u32,
    pub retryable: bool,
    pub skippable: bool,
    pub backoff: Backoff,
    pub base: Ms,
    pub max_backoff: Option<Ms>,
    pub timeout: Option<Ms>,
}

#[derive(Clone, Copy, Debug)]
pub enum Backoff {
    None,
    Linear,
    Exponential,
    Fibonacci,
}

#[derive(Clone, Debug)]
pub enum Action {
    Request {
        template: Pick,
        priority: usize,
        bypass: u8,
        key: Option<u8>,
        context: u8,
        run_in: Option<Ms>,
        by_queue: bool,
    },
    /// With this batch size, or as many as usual.
    Pass(Option<usize>),
    Advance(Ms),
    /// Until the next thing that is due.
    AdvanceToNext,
    /// A plain worker takes a message off the queue.
    Pop,
    /// A plain worker reads a message that becomes visible again at once, as often as this.
    Read(usize),
    /// A plain worker deletes the message of what it has read.
    Delete(Pick),
    Poll {
        quantity: usize,
        lease: Option<Ms>,
        only: Only,
    },
    /// `stale`: of any attempt that was ever handed out, else of one that is in flight.
    Report {
        who: Pick,
        stale: bool,
        how: How,
        outcome: Outcome,
    },
    ReportMany {
        who: Vec<Pick>,
        stale: bool,
        outcome: Outcome,
    },
    /// Results delivered and advanced in the worker's own call, which may take new steps as well.
    Exchange {
        who: Vec<Pick>,
        stale: bool,
        outcome: Outcome,
        take: bool,
    },
    Extend {
        who: Pick,
        stale: bool,
        lease: Option<Ms>,
    },
    Release {
        who: Vec<Pick>,
        stale: bool,
    },
    Cancel(Pick),
    RetryStep(Pick),
    ResolveStep(Pick),
    RetryTask(Pick),
    Pause,
    Resume,
    Limit(Option<i64>),
    Purge,
    ResolveDeadLetter(Pick),
    /// An orchestrator outside.
    Claim {
        by: u8,
        most: usize,
    },
    ExtendClaim {
        by: u8,
        of: Pick,
    },
    ReleaseClaim {
        by: u8,
        of: Pick,
    },
    EnqueueReadySteps(Pick),
    /// Somebody sends what cannot be used.
    SendBad(Queue, Pick),
    Requeue(Pick),
    Discard(Pick),
    Lose(Loss),
    Reconcile,
}

/// What `poll_steps` is to give only: steps of this task's name, steps of this name.
#[derive(Clone, Copy, Debug, Default)]
pub struct Only {
    pub template: Option<Pick>,
    pub step: Option<Pick>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Queue {
    Requests,
    Steps,
    Results,
}

/// What becomes of a queue behind the engine's back.
#[derive(Clone, Copy, Debug)]
pub enum Loss {
    /// The namespace's is purged. Who notices it are the timers, or a reconcile to come.
    Purged,
    /// The namespace's is dropped, and reconcile makes it anew.
    Dropped,
    /// The namespace's is dropped, and create_namespace makes it anew.
    Replaced,
    /// That of the results is purged, and reconcile sends again what it can.
    ResultsPurged,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum How {
    /// `pgmq.send` to the results queue.
    Plain,
    /// The same without the attempt.
    Bare,
    /// `complete_step`, `fail_step`.
    Function,
}

/// How an attempt ended, as its worker says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Outcome {
    Success,
    /// `after`: Retry-After.
    Failure {
        retryable: bool,
        after: Option<Ms>,
    },
}

impl Template {
    /// The definition as `register_template` takes it.
    pub fn definition(&self, namespace: &str, name: &str) -> Value {
        let steps: Vec<_> = self.steps.iter().enumerate().map(|(place, step)| step.definition(place)).collect();
        json!({
            "namespace_name": namespace, "name": name, "version": "1.0.0", "steps": steps,
            "on_failure": if self.fail_fast { "fail_fast" } else { "continue" },
            "limits": {"max_in_flight": self.limit}, "lifecycle": {"max_duration_minutes": self.minutes},
            "identity_strategy": if self.strict { "strict" } else { "always_unique" }, "events": self.events(),
        })
    }

    fn events(&self) -> Value {
        if self.events {
            json!({"task": ["completed", "failed", "cancelled"], "step": ["completed", "failed"]})
        } else {
            json!({})
        }
    }

    /// The places of the steps that a request bypasses.
    pub fn bypassed(&self, mask: u8) -> Vec<usize> {
        (0..self.steps.len()).filter(|place| self.steps[*place].skippable && mask >> place & 1 == 1).collect()
    }
}

impl Step {
    fn definition(&self, place: usize) -> Value {
        let parents: Vec<_> = self.parents.iter().map(|parent| name(*parent)).collect();
        json!({
            "name": name(place), "dependencies": parents, "skippable": self.skippable,
            "timeout_seconds": self.timeout.map(|timeout| timeout / 1000),
            "retry": {
                "max_attempts": self.max_attempts, "retryable": self.retryable,
                "backoff": self.backoff.name(), "backoff_base_ms": self.base, "max_backoff_ms": self.max_backoff,
            },
        })
    }
}

impl Backoff {
    fn name(self) -> &'static str {
        match self {
            Backoff::None => "none",
            Backoff::Linear => "linear",
            Backoff::Exponential => "exponential",
            Backoff::Fibonacci => "fibonacci",
        }
    }

    /// How many times the base a retry waits after this attempt.
    pub fn multiple(self, attempt: u32) -> Ms {
        match self {
            Backoff::None => 1,
            Backoff::Linear => Ms::from(attempt),
            Backoff::Exponential => 1 << (attempt - 1).min(30),
            Backoff::Fibonacci => (1..attempt).fold((0, 1), |(a, b), _| (b, a + b)).1,
        }
    }
}

/// The name of the step at a place.
pub fn name(place: usize) -> String {
    format!("s{place}")
}
