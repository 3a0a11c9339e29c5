//! The model test: random graphs and random sequences of events are played against the database and against a small
//! reference model; after every event both are in the same state. What differs shrinks to the shortest game that still
//! differs, and is shown as what was called and what came of it.
//!
//! `TASKER_MODEL_CASES` says how many games (100), `TASKER_MODEL_SEED` which ones. `TASKER_MODEL_URL` names a database
//! that has tasker_pg, superuser and without its background worker; else the test starts a cluster of its own.

mod claims;
mod compare;
mod database;
mod game;
mod model;
mod moves;
mod operators;
mod pass;
mod plan;
mod show;
mod strategies;
mod trouble;
mod workers;

use std::cell::RefCell;
use std::time::SystemTime;

use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use database::Database;
use plan::Plan;

const CASES: u32 = 100;
/// Milliseconds.
const TIME_TO_SHRINK: u32 = 60_000;

#[test]
fn the_engine_does_what_the_model_does() {
    let cases = variable("TASKER_MODEL_CASES");
    let seed = variable("TASKER_MODEL_SEED").unwrap_or_else(|| cases.map_or(1, |_| seconds_now()));
    let cases = cases.and_then(|cases| u32::try_from(cases).ok()).unwrap_or(CASES);
    let database = RefCell::new(Database::open());
    let played = runner(cases, seed).run(&strategies::plan(), |plan| {
        let (_, check) = game::play(&mut database.borrow_mut(), &plan);
        check.map_err(TestCaseError::fail)
    });
    if let Err(TestError::Fail(difference, plan)) = played {
        let (log, _) = game::play(&mut database.borrow_mut(), &plan);
        panic!("{}", story(&plan, &log, &difference.to_string(), seed));
    }
    assert!(played.is_ok(), "{played:?}");
}

fn runner(cases: u32, seed: u64) -> TestRunner {
    let config = Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: 5_000,
        max_shrink_time: TIME_TO_SHRINK,
        ..Config::default()
    };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes))
}

fn variable(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} must be a number, it is {text:?}")))
}

fn seconds_now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(1, |since| since.as_secs())
}

/// The shortest game that still fails, for people.
fn story(plan: &Plan, log: &[String], difference: &str, seed: u64) -> String {
    let templates = plan.templates.iter().enumerate();
    let templates: String = templates.map(|(number, template)| format!("t{number}: {template}")).collect();
    format!(
        "the engine and the model differ (TASKER_MODEL_SEED={seed})\n\nmax_in_flight {:?}\n{templates}\n{}\n\n{difference}\n",
        plan.limit,
        log.join("\n"),
    )
}
