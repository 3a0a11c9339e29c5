//! What a game is played with: templates, and actions that name their subjects by any number at all. A number is taken
//! modulo what there is when its turn comes, so every shorter sequence is a game as well, and games shrink.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
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
}

#[derive(Clone, Debug)]
pub struct Step {
    /// Places in the template, ascending.
    pub parents: Vec<usize>,
    pub max_attempts: u32,
    pub retryable: bool,
    pub skippable: bool,
    pub linear: bool,
    pub base: Ms,
    pub timeout: Option<Ms>,
}

#[derive(Clone, Debug)]
pub enum Action {
    Request {
        template: Pick,
        priority: usize,
        bypass: u8,
        key: Option<u8>,
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
        })
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
                "backoff": if self.linear { "linear" } else { "none" }, "backoff_base_ms": self.base,
            },
        })
    }
}

/// The name of the step at a place.
pub fn name(place: usize) -> String {
    format!("s{place}")
}

pub fn plan() -> impl Strategy<Value = Plan> {
    let actions = (vec(request(), 1..=5), vec(action(), 1..=60)).prop_map(|(first, rest)| [first, rest].concat());
    (limit(), vec(template(), 1..=3), actions).prop_map(|(limit, templates, actions)| Plan {
        limit,
        templates,
        actions,
    })
}

fn limit() -> impl Strategy<Value = Option<i64>> {
    prop_oneof![1 => Just(None), 2 => (1i64..=4).prop_map(Some)]
}

fn template() -> impl Strategy<Value = Template> {
    let limit = prop_oneof![4 => Just(None), 1 => (1i64..=3).prop_map(Some)];
    let minutes = prop_oneof![5 => Just(None), 1 => (1i64..=10).prop_map(Some)];
    (vec((any::<u8>(), any::<u8>(), step()), 1..=8), any::<bool>(), any::<bool>(), limit, minutes).prop_map(
        |(steps, backwards, fail_fast, limit, minutes)| Template {
            steps: graph(steps, backwards),
            fail_fast,
            limit,
            minutes,
        },
    )
}

/// Every step may depend on any of those before it (those after it, when the template is written backwards); both
/// masks must name a parent, so graphs are sparse.
fn graph(steps: Vec<(u8, u8, Step)>, backwards: bool) -> Vec<Step> {
    let last = steps.len() - 1;
    let placed = |number: usize| if backwards { last - number } else { number };
    let mut steps: Vec<_> = steps
        .into_iter()
        .enumerate()
        .map(|(number, (mask, other, step))| {
            let named = (0..number).filter(|parent| (mask & other) >> parent & 1 == 1);
            let mut parents: Vec<_> = named.map(placed).collect();
            parents.sort_unstable();
            Step { parents, ..step }
        })
        .collect();
    if backwards {
        steps.reverse();
    }
    steps
}

fn step() -> impl Strategy<Value = Step> {
    let timeout = option::weighted(0.3, prop_oneof![Just(5_000), Just(60_000), Just(1_000_000)]);
    let base = prop_oneof![Just(1_000), Just(10_000), Just(100_000)];
    (1u32..=3, any::<bool>(), prop::bool::weighted(0.8), prop::bool::weighted(0.3), base, timeout).prop_map(
        |(max_attempts, linear, retryable, skippable, base, timeout)| Step {
            parents: Vec::new(),
            max_attempts,
            retryable,
            skippable,
            linear,
            base,
            timeout,
        },
    )
}

fn action() -> impl Strategy<Value = Action> {
    let rarely = || prop::bool::weighted(0.15);
    prop_oneof![
        12 => option::weighted(0.25, 1usize..=3).prop_map(Action::Pass),
        6 => request(),
        4 => duration().prop_map(Action::Advance),
        6 => Just(Action::AdvanceToNext),
        3 => Just(Action::Pop),
        2 => (1usize..=4).prop_map(Action::Read),
        1 => any::<Pick>().prop_map(Action::Delete),
        8 => (1usize..=5, option::weighted(0.3, duration()))
            .prop_map(|(quantity, lease)| Action::Poll { quantity, lease }),
        20 => (any::<Pick>(), rarely(), how(), outcome())
            .prop_map(|(who, stale, how, outcome)| Action::Report { who, stale, how, outcome }),
        5 => (vec(any::<Pick>(), 1..=3), rarely(), outcome())
            .prop_map(|(who, stale, outcome)| Action::ReportMany { who, stale, outcome }),
        5 => (vec(any::<Pick>(), 0..=3), rarely(), outcome(), any::<bool>())
            .prop_map(|(who, stale, outcome, take)| Action::Exchange { who, stale, outcome, take }),
        4 => (any::<Pick>(), rarely(), option::of(duration()))
            .prop_map(|(who, stale, lease)| Action::Extend { who, stale, lease }),
        3 => (vec(any::<Pick>(), 1..=3), rarely()).prop_map(|(who, stale)| Action::Release { who, stale }),
        1 => any::<Pick>().prop_map(Action::Cancel),
        5 => any::<Pick>().prop_map(Action::RetryStep),
        2 => any::<Pick>().prop_map(Action::ResolveStep),
        3 => any::<Pick>().prop_map(Action::RetryTask),
        1 => Just(Action::Pause),
        2 => Just(Action::Resume),
        1 => limit().prop_map(Action::Limit),
    ]
}

fn duration() -> impl Strategy<Value = Ms> {
    let usual = prop_oneof![Just(100), Just(1_000), Just(10_000), Just(61_000), Just(301_000), Just(700_000)];
    prop_oneof![2 => usual, 1 => 1i64..=300_000]
}

fn request() -> impl Strategy<Value = Action> {
    let priority = prop_oneof![1 => Just(2usize), 2 => 0usize..=4];
    let run_in = option::weighted(0.2, prop_oneof![Just(-100_000), Just(1_000), duration()]);
    let bypass = prop_oneof![2 => Just(0u8), 1 => any::<u8>()];
    let key = option::weighted(0.2, 0u8..3);
    (any::<Pick>(), priority, bypass, key, run_in, prop::bool::weighted(0.2)).prop_map(
        |(template, priority, bypass, key, run_in, by_queue)| Action::Request {
            template,
            priority,
            bypass,
            key,
            run_in,
            by_queue,
        },
    )
}

fn how() -> impl Strategy<Value = How> {
    prop_oneof![3 => Just(How::Function), 3 => Just(How::Plain), 1 => Just(How::Bare)]
}

fn outcome() -> impl Strategy<Value = Outcome> {
    let after = option::weighted(0.2, prop_oneof![Just(1_000), Just(3_600_000)]);
    prop_oneof![
        3 => Just(Outcome::Success),
        2 => (prop::bool::weighted(0.7), after).prop_map(|(retryable, after)| Outcome::Failure { retryable, after }),
    ]
}
