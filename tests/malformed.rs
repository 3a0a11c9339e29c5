//! What is malformed is refused with a reason, and stops nobody.

use std::sync::LazyLock;

mod common;
use common::{Cluster, Database, play, two_steps};
use serde_json::{Value, json};

static CLUSTER: LazyLock<Cluster> = LazyLock::new(|| Cluster::start("malformed", &[]));

fn shop(name: &str) -> Database {
    let mut shop = CLUSTER.create(name);
    shop.register(&two_steps("shop"));
    shop
}

fn send(shop: &mut Database, queue: &str, message: &Value) {
    shop.call("select pgmq.send($1::text, $2::text::jsonb)::text", &[queue, &message.to_string()]);
}

/// The messages rejected so far with their reasons, in the order in which they were sent.
fn rejected(shop: &mut Database, queue: &str) -> Vec<(Value, String)> {
    let rows = shop.rows(&format!(
        "select message, reason from tasker.rejected_messages where queue_name = '{queue}' order by msg_id"
    ));
    let pair = |row: &String| {
        let (message, reason) = row.rsplit_once('|').unwrap();
        (serde_json::from_str(message).unwrap(), reason.to_string())
    };
    rows.iter().map(pair).collect()
}

fn assert_rejected(shop: &mut Database, queue: &str, bad: &[(Value, &str)]) {
    shop.eventually(&format!(
        "select count(*) = {} from tasker.rejected_messages where queue_name = '{queue}'",
        bad.len()
    ));
    for ((message, reason), (sent, hint)) in rejected(shop, queue).iter().zip(bad) {
        assert_eq!(message, sent);
        assert!(reason.contains(hint), "{message} was rejected because {reason:?}, which does not say {hint:?}");
    }
}

/// What is malformed is no reason for a pass to fail and to be repeated message by message.
fn assert_passes_went_well(shop: &mut Database) {
    assert_eq!(shop.value("select errors from tasker.orchestrator_status"), "0");
    let log = CLUSTER.log();
    let failures: Vec<_> = log
        .lines()
        .filter(|line| line.contains(&format!("@{} ", shop.name)) && line.contains("a pass failed"))
        .collect();
    assert!(failures.is_empty(), "{failures:#?}");
}

#[test]
fn a_malformed_template_is_an_error_that_names_every_fault() {
    let mut shop = CLUSTER.create("templates");
    let cases = [
        ("just text", "mapping"),
        ("[]", "mapping"),
        ("steps: [", "line"),
        ("{\"steps\": }", "line"),
        ("name: x\nnamespace_name: shop\nversion: 1.0.0\nsteps: []", "steps"),
        ("name: x\nnamespace_name: shop\nversion: one\nsteps: [{name: a}]", "version"),
        ("name: x\nnamespace_name: shop\nversion: 1.0.0\nstepps: [{name: a}]", "steps"),
        (
            "name: x\nnamespace_name: shop\nversion: 1.0.0\nsteps:\n- {name: a, dependencies: [b]}\n- {name: b, dependencies: [a]}",
            "a -> b -> a",
        ),
    ];
    for (definition, hint) in cases {
        let said = refusal(&mut shop, definition);
        assert!(said.contains(hint), "{definition}: {said}");
    }
    let said = refusal(
        &mut shop,
        "name: x\nnamespace_name: shop\nversion: 1.0.0\ncolour: red\nsteps: [{name: a, dependencies: [nope]}, {name: a}]",
    );
    for fault in ["colour", "nope", "steps[1]"] {
        assert!(said.contains(fault), "{said}");
    }
    assert_eq!(shop.value("select count(*) from tasker.task_templates"), "0");
    assert_eq!(shop.value("select count(*) from tasker.namespaces"), "0");
}

/// What the error about a template says.
fn refusal(shop: &mut Database, definition: &str) -> String {
    let error = shop.error(&format!("select tasker.register_template('{definition}'::text)"));
    let said = format!("{}\n{}", error.message(), error.detail().unwrap_or_default());
    assert_eq!(error.code().code(), "22023", "{definition}: {said}");
    said
}

#[test]
fn malformed_requests_are_kept_with_a_reason_and_good_ones_go_on() {
    let mut shop = shop("requests");
    let good = json!({"namespace": "shop", "name": "two", "context": {}});
    let with = |field: &str, value: Value| {
        let mut request = good.clone();
        request[field] = value;
        request
    };
    let bad = [
        (json!(7), "object"),
        (json!("text"), "object"),
        (json!([good]), "object"),
        (Value::Null, "object"),
        (json!({}), "namespace is missing"),
        (json!({"task_request": 5}), "task_request"),
        (with("context", json!([])), "context"),
        (with("namespace", json!("nowhere")), "nowhere"),
        (with("name", json!("nothing")), "two"),
        (with("version", json!("9.9.9")), "9.9.9"),
        (with("priority", json!(9)), "priority"),
        (with("priority", json!("high")), "priority"),
        (with("run_at", json!("whenever")), "run_at"),
        (with("run_at", json!("2026-02-30T00:00:00Z")), "run_at"),
        (with("correlation_id", json!("not a uuid")), "correlation_id"),
        (with("tags", json!("one")), "tags"),
        (with("bypass_steps", json!(["first"])), "first"),
        (with("claim_timeout_seconds", json!(1e300)), "claim_timeout_seconds"),
    ];
    for (message, _) in &bad {
        send(&mut shop, "orchestration_task_requests", message);
        send(&mut shop, "orchestration_task_requests", &good);
    }
    send(&mut shop, "orchestration_task_requests", &json!({"message_type": "task_request", "task_request": good}));
    assert_rejected(&mut shop, "orchestration_task_requests", &bad);
    shop.eventually(&format!("select count(*) = {} from tasker.tasks", bad.len() + 1));
    play::work_until_over(&mut shop, "shop");
    assert_eq!(shop.rows("select distinct state from tasker.tasks"), ["complete"]);
    assert_passes_went_well(&mut shop);
}

#[test]
fn malformed_results_are_kept_with_a_reason_and_good_ones_go_on() {
    let mut shop = shop("results");
    let (task, other) = (shop.request("shop", "two"), shop.request("shop", "two"));
    shop.eventually("select count(*) = 2 from tasker.steps where state = 'enqueued'");
    let step = task * 65_536 + 1;
    let good = json!({"step_id": step, "task_id": task, "attempt": 1, "status": "success"});
    let with = |field: &str, value: Value| {
        let mut result = good.clone();
        result[field] = value;
        result
    };
    let bad = [
        (json!(7), "object"),
        (json!([]), "object"),
        (Value::Null, "object"),
        (json!({}), "step_id is missing"),
        (json!({"status": "success"}), "step_id"),
        (json!({"step_id": step}), "status"),
        (with("status", json!("splendid")), "splendid"),
        (with("status", json!(1)), "status"),
        (with("step_id", json!("one")), "step_id"),
        (with("step_id", json!(1.5)), "step_id"),
        (with("step_id", json!(1e40)), "step_id"),
        (with("step_id", json!(-1)), "step_id"),
        (json!({"step_id": 9_000_000_000_000_i64, "status": "success"}), "9000000000000"),
        (json!({"step_id": task * 65_536, "status": "success"}), "step"),
        (with("task_id", json!(other)), "task"),
        (with("attempt", json!("first")), "attempt"),
        (with("attempt", json!(0)), "attempt"),
        (with("error", json!(7)), "error"),
        (with("error", json!({"retryable": "maybe"})), "retryable"),
        (with("orchestration_metadata", json!([])), "orchestration_metadata"),
        (with("execution_time_ms", json!(-3)), "execution_time_ms"),
    ];
    for (message, _) in &bad {
        send(&mut shop, "orchestration_step_results", message);
    }
    send(&mut shop, "orchestration_step_results", &with("result_data", json!({"any": [1, "\u{1F600}", null]})));
    assert_rejected(&mut shop, "orchestration_step_results", &bad);
    shop.eventually(&format!("select state = 'complete' from tasker.steps where step_id = {step}"));
    play::work_until_over(&mut shop, "shop");
    assert_eq!(shop.rows("select distinct state from tasker.tasks"), ["complete"]);
    assert_passes_went_well(&mut shop);
}

#[test]
fn what_comes_late_is_counted_and_not_kept() {
    let mut shop = shop("late");
    let task = shop.request("shop", "two");
    play::work_until_over(&mut shop, "shop");
    let step = task * 65_536 + 1;
    for attempt in [1, 1, 2] {
        send(
            &mut shop,
            "orchestration_step_results",
            &json!({"step_id": step, "attempt": attempt, "status": "failure"}),
        );
    }
    shop.eventually("select late >= 3 from tasker.orchestrator_status");
    assert_eq!(shop.value("select count(*) from tasker.rejected_messages"), "0");
    assert_eq!(shop.value("select state, attempts from tasker.steps order by step_id limit 1"), "complete|1");
}
