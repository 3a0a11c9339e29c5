//! How games are drawn.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::model::Ms;
use crate::plan::{Action, Backoff, How, Loss, Only, Outcome, Pick, Plan, Queue, Step, Template};

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
    let rarely = || prop::bool::weighted(0.2);
    let steps = (vec((any::<u8>(), any::<u8>(), step()), 1..=8), any::<bool>());
    (steps, any::<bool>(), limit, minutes, rarely(), rarely()).prop_map(
        |((steps, backwards), fail_fast, limit, minutes, strict, events)| Template {
            steps: graph(steps, backwards),
            fail_fast,
            limit,
            minutes,
            strict,
            events,
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
    let (retryable, skippable) = (prop::bool::weighted(0.8), prop::bool::weighted(0.3));
    let max_backoff = option::weighted(0.2, Just(150_000));
    (1u32..=4, backoff(), retryable, skippable, base, max_backoff, timeout).prop_map(
        |(max_attempts, backoff, retryable, skippable, base, max_backoff, timeout)| Step {
            parents: Vec::new(),
            max_attempts,
            retryable,
            skippable,
            backoff,
            base,
            max_backoff,
            timeout,
        },
    )
}

fn backoff() -> impl Strategy<Value = Backoff> {
    prop_oneof![Just(Backoff::None), Just(Backoff::Linear), Just(Backoff::Exponential), Just(Backoff::Fibonacci)]
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        12 => option::weighted(0.25, 1usize..=3).prop_map(Action::Pass),
        6 => request(),
        4 => duration().prop_map(Action::Advance),
        6 => Just(Action::AdvanceToNext),
        50 => worker(),
        14 => operator(),
        7 => orchestrator(),
        6 => trouble(),
    ]
}

fn worker() -> impl Strategy<Value = Action> {
    let rarely = || prop::bool::weighted(0.15);
    let only = || option::weighted(0.15, any::<Pick>());
    let only = (only(), only()).prop_map(|(template, step)| Only { template, step });
    prop_oneof![
        3 => Just(Action::Pop),
        2 => (1usize..=4).prop_map(Action::Read),
        1 => any::<Pick>().prop_map(Action::Delete),
        8 => (1usize..=5, option::weighted(0.3, duration()), only)
            .prop_map(|(quantity, lease, only)| Action::Poll { quantity, lease, only }),
        20 => (any::<Pick>(), rarely(), how(), outcome())
            .prop_map(|(who, stale, how, outcome)| Action::Report { who, stale, how, outcome }),
        5 => (vec(any::<Pick>(), 1..=3), rarely(), outcome())
            .prop_map(|(who, stale, outcome)| Action::ReportMany { who, stale, outcome }),
        5 => (vec(any::<Pick>(), 0..=3), rarely(), outcome(), any::<bool>())
            .prop_map(|(who, stale, outcome, take)| Action::Exchange { who, stale, outcome, take }),
        4 => (any::<Pick>(), rarely(), option::of(duration()))
            .prop_map(|(who, stale, lease)| Action::Extend { who, stale, lease }),
        3 => (vec(any::<Pick>(), 1..=3), rarely()).prop_map(|(who, stale)| Action::Release { who, stale }),
    ]
}

fn operator() -> impl Strategy<Value = Action> {
    prop_oneof![
        10 => any::<Pick>().prop_map(Action::Cancel),
        50 => any::<Pick>().prop_map(Action::RetryStep),
        20 => any::<Pick>().prop_map(Action::ResolveStep),
        30 => any::<Pick>().prop_map(Action::RetryTask),
        10 => Just(Action::Pause),
        20 => Just(Action::Resume),
        10 => limit().prop_map(Action::Limit),
        10 => any::<Pick>().prop_map(Action::ResolveDeadLetter),
        2 => Just(Action::Purge),
    ]
}

fn orchestrator() -> impl Strategy<Value = Action> {
    let who = || (0u8..2, any::<Pick>());
    prop_oneof![
        4 => (0u8..2, 1usize..=3).prop_map(|(by, most)| Action::Claim { by, most }),
        4 => any::<Pick>().prop_map(Action::EnqueueReadySteps),
        1 => who().prop_map(|(by, of)| Action::ExtendClaim { by, of }),
        2 => who().prop_map(|(by, of)| Action::ReleaseClaim { by, of }),
    ]
}

fn trouble() -> impl Strategy<Value = Action> {
    let queue = prop_oneof![Just(Queue::Requests), Just(Queue::Steps), Just(Queue::Results)];
    let loss = prop_oneof![Just(Loss::Purged), Just(Loss::Dropped), Just(Loss::Replaced), Just(Loss::ResultsPurged)];
    prop_oneof![
        4 => (queue, any::<Pick>()).prop_map(|(queue, which)| Action::SendBad(queue, which)),
        1 => any::<Pick>().prop_map(Action::Requeue),
        1 => any::<Pick>().prop_map(Action::Discard),
        2 => loss.prop_map(Action::Lose),
        1 => Just(Action::Reconcile),
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
    (any::<Pick>(), priority, bypass, key, 0u8..2, run_in, prop::bool::weighted(0.2)).prop_map(
        |(template, priority, bypass, key, context, run_in, by_queue)| Action::Request {
            template,
            priority,
            bypass,
            key,
            context,
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
