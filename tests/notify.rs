//! tasker.notify: those who LISTEN are told once for each pass and namespace, by the pass, never in the transaction of who
//! requests, cancels or works.

use std::sync::LazyLock;

mod common;
use common::{Cluster, Database, alone, eventually, play};
use serde_json::json;

/// Passes are made by hand, but for the last test.
static CLUSTER: LazyLock<Cluster> = LazyLock::new(|| Cluster::start("notify", &["tasker.enabled=off"]));

/// A database with two namespaces that publish, and who listens to them.
fn shops(name: &str) -> (Database, Database) {
    let mut engine = CLUSTER.create(name);
    for namespace in ["one", "two"] {
        let mut template = common::template(namespace, "loud", &[("first", &[])]);
        template["events"] = json!({"task": ["completed", "cancelled"], "step": ["completed"]});
        engine.register(&template);
    }
    let mut listener = CLUSTER.connect(name);
    listener.run("listen one_events; listen two_events");
    (engine, listener)
}

fn request(shops: &mut Database) {
    for namespace in ["one", "two"] {
        shops.run(&format!("select tasker.request_task('{namespace}', 'loud') from generate_series(1, 3)"));
    }
}

fn pid(database: &mut Database) -> String {
    database.value("select pg_backend_pid()")
}

#[test]
fn off_by_default() {
    let _alone = alone();
    CLUSTER.reset_settings();
    let (mut engine, mut listener) = shops("quiet");
    assert_eq!(engine.value("show tasker.notify"), "off");
    request(&mut engine);
    engine.run("select tasker.run_until_idle()");
    assert_eq!(play::work_off(&mut engine, "one") + play::work_off(&mut engine, "two"), 6);
    engine.run("select tasker.run_until_idle()");
    assert_eq!(engine.value("select count(*) from pgmq.q_one_events"), "6");
    assert!(listener.notified(&mut engine).is_empty());
    assert_eq!(engine.value("select count(*) from tasker.held_events"), "0");
}

#[test]
fn a_pass_notifies_each_namespace_once_and_nobody_else_does() {
    let _alone = alone();
    CLUSTER.reset_settings();
    let (mut engine, mut listener) = shops("told");
    CLUSTER.set("tasker.notify", "on");
    engine.eventually("select current_setting('tasker.notify') = 'on'");
    let mut worker = CLUSTER.connect("told");
    let by_engine = pid(&mut engine);
    let told = |namespaces: &[&str]| -> Vec<_> {
        namespaces.iter().map(|namespace| (format!("{namespace}_events"), by_engine.clone())).collect()
    };
    let mut pass = |expected: Vec<(String, String)>| {
        let before = listener.notified(&mut engine);
        assert!(before.is_empty(), "before the pass: {before:?}");
        engine.run("select tasker.orchestrate()");
        let mut notified = listener.notified(&mut engine);
        notified.sort();
        assert_eq!(notified, expected);
    };

    // Nothing has ended.
    request(&mut worker);
    pass(told(&[]));
    // Three steps and three tasks in each: one pass, two notifications.
    assert_eq!(play::work_off(&mut worker, "one") + play::work_off(&mut worker, "two"), 6);
    pass(told(&["one", "two"]));
    pass(told(&[]));
    // Who cancels publishes and does not notify.
    request(&mut worker);
    worker.run("select tasker.cancel_task(task_id) from tasker.tasks where finished_at is null");
    assert_eq!(worker.value("select count(*) from pgmq.q_two_events"), "9"); // three of the steps and six of the tasks
    pass(told(&["one", "two"]));
    // Nor does a worker that advances its own work.
    worker.request("one", "loud");
    pass(told(&[]));
    let result = worker.value(
        "select jsonb_build_object('step_id', step_id, 'attempt', attempt, 'status', 'success') from tasker.poll_steps('one')",
    );
    worker.run(&format!("select step_id from tasker.exchange_steps('one', array['{result}'::jsonb])"));
    assert_eq!(worker.value("select state from tasker.tasks order by task_id desc limit 1"), "complete");
    pass(told(&["one"]));
    pass(told(&[]));
}

#[test]
fn the_background_orchestrator_tells_what_others_have_published() {
    let _alone = alone();
    CLUSTER.reset_settings();
    CLUSTER.set("tasker.notify", "on");
    CLUSTER.set("tasker.enabled", "on");
    // Only a wake comes in time.
    CLUSTER.set("tasker.cycle_interval", "10 min");
    let (mut shops, mut listener) = shops("background");
    shops.is_served();
    let task = shops.request("one", "loud");
    shops.run(&format!("select tasker.cancel_task({task})"));
    let mut told = Vec::new();
    eventually("somebody was told", || {
        told.extend(listener.notified(&mut shops));
        !told.is_empty()
    });
    assert_eq!(told, [("one_events".to_string(), shops.orchestrator())]);
}
