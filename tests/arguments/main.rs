//! Whatever arguments a public function is called with, it answers or says what is wrong: never with an internal error,
//! and nothing is out of joint afterwards.
//!
//! TASKER_FAULT_ROUNDS says how many calls are made (1,500), TASKER_FAULT_SEED which.

#[path = "../common/mod.rs"]
mod common;
use common::{Cluster, number_from_environment, two_steps};

/// What errors there may be: not supported, bad values and objects, states, limits, locks, and our own.
const SAID: &str = "^(0A000|0LP01|22...|25...|42...|54000|55...|TK...)$";

#[test]
fn no_arguments_bring_a_function_to_an_internal_error() {
    let calls = number_from_environment("TASKER_FAULT_ROUNDS", 1_500);
    let seed = number_from_environment("TASKER_FAULT_SEED", 20_261_127);
    println!("seed: {seed}, calls: {calls}");
    let cluster = Cluster::start("arguments", &[]);
    let mut shop = cluster.create("shop");
    shop.register(&two_steps("shop"));
    shop.register(&two_steps("other"));
    shop.is_served();
    shop.run(include_str!("calls.sql"));
    shop.run(&format!("call calls({calls}, {})", (seed % 1_000_000) as f64 / 1e6));

    let bad = shop
        .rows(&format!("select distinct on (function, state) state, message, call from said where state !~ '{SAID}'"));
    assert!(bad.is_empty(), "{bad:#?}");
    assert!(shop.number("select count(distinct function) from said") > 30, "most functions refuse something");
    assert!(shop.rows("select * from tasker.check()").is_empty());
    assert_eq!(shop.value("select errors from tasker.orchestrator_status"), "0");
    let log = cluster.log();
    assert!(!log.contains("PANIC") && !log.contains("was terminated by signal"));
}
