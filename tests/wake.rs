//! The orchestrator wakes at commit. Its backstop is set to a minute here, far beyond the patience of these tests: what
//! happens at all happened because somebody woke it.

use std::sync::LazyLock;
use std::thread;
use std::time::{Duration, Instant};

mod common;
use common::{A_MOMENT, Cluster, Database, alone, play, two_steps};
use serde_json::json;

static CLUSTER: LazyLock<Cluster> = LazyLock::new(|| Cluster::start("wake", &["tasker.cycle_interval=60s"]));
/// Far below the backstop, far above what a busy machine needs.
const SOON: Duration = Duration::from_secs(10);

/// A database with a template of two steps, and an orchestrator that has nothing to do and sleeps.
fn shop(name: &str) -> Database {
    let mut shop = CLUSTER.create(name);
    shop.register(&two_steps("shop"));
    sleeps(&mut shop);
    shop
}

fn sleeps(shop: &mut Database) {
    shop.is_served();
    thread::sleep(A_MOMENT);
}

fn queued(step: &str) -> String {
    format!("select exists (select from pgmq.q_shop_queue where message ->> 'step_name' = '{step}')")
}

fn assert_soon(since: Instant) {
    assert!(since.elapsed() < SOON, "it took {:?}", since.elapsed());
}

#[test]
fn a_request_by_sql_is_enqueued_at_its_commit() {
    let _alone = alone();
    let mut shop = shop("request");
    let start = Instant::now();
    shop.request("shop", "two");
    shop.eventually(&queued("first"));
    assert_soon(start);
}

#[test]
fn a_plain_send_of_a_result_leads_to_the_next_steps_message() {
    let _alone = alone();
    let mut shop = shop("result");
    shop.request("shop", "two");
    shop.eventually(&queued("first"));
    sleeps(&mut shop);
    let start = Instant::now();
    assert_eq!(play::work_off(&mut shop, "shop"), 1);
    shop.eventually(&queued("second"));
    assert_soon(start);
}

#[test]
fn a_plain_send_of_a_task_request_leads_to_the_first_steps_message() {
    let _alone = alone();
    let mut shop = shop("send");
    let start = Instant::now();
    let request = json!({"namespace": "shop", "name": "two", "context": {}});
    shop.run(&format!("select pgmq.send('orchestration_task_requests', '{request}')"));
    shop.eventually(&queued("first"));
    assert_soon(start);
}

#[test]
fn a_task_runs_to_its_end_without_the_backstop() {
    let _alone = alone();
    let mut shop = shop("chain");
    let start = Instant::now();
    let task = shop.request("shop", "two");
    play::work_until_over(&mut shop, "shop");
    assert_eq!(shop.value(&format!("select state from tasker.task_status where task_id = {task}")), "complete");
    assert_soon(start);
}

#[test]
fn reports_by_function_wake_as_well() {
    let _alone = alone();
    let mut shop = shop("functions");
    shop.request("shop", "two");
    let start = Instant::now();
    for step in ["first", "second"] {
        let took = shop.value("select message ->> 'step_name' from tasker.poll_steps('shop', max_wait => '8 s')");
        assert_eq!(took, step);
        shop.run("select tasker.complete_step(step_id, attempts) from tasker.steps where state = 'in_progress'");
    }
    shop.eventually("select state = 'complete' from tasker.tasks");
    assert_soon(start);
}

#[test]
fn a_retry_comes_when_it_is_due() {
    let _alone = alone();
    let mut shop = shop("retry");
    shop.request("shop", "two");
    shop.eventually(&queued("first"));
    sleeps(&mut shop);
    let start = Instant::now();
    shop.run(
        "select pgmq.send('orchestration_step_results', jsonb_build_object('step_id', message -> 'step_id', 'attempt', 1,
           'status', 'failure', 'error', 'not yet'))
         from pgmq.pop('shop_queue')",
    );
    shop.eventually("select exists (select from pgmq.q_shop_queue where message ->> 'attempt' = '2')");
    assert_soon(start);
}

#[test]
fn a_rollback_leaves_nothing_and_wakes_nobody() {
    let _alone = alone();
    let mut shop = shop("rollback");
    let passes = shop.passes();
    shop.run("begin");
    shop.request("shop", "two");
    shop.run("select pgmq.send('orchestration_task_requests', '{}')");
    shop.run("rollback");
    thread::sleep(A_MOMENT);
    assert_eq!(shop.passes(), passes, "somebody was woken");
    assert_eq!(shop.value("select count(*) from tasker.tasks"), "0");
    assert_eq!(shop.value("select count(*) from pgmq.q_orchestration_task_requests"), "0");
}

#[test]
fn nobody_is_woken_before_the_commit() {
    let _alone = alone();
    let mut shop = shop("before");
    let passes = shop.passes();
    shop.run("begin");
    shop.request("shop", "two");
    thread::sleep(A_MOMENT);
    assert_eq!(shop.passes(), passes, "somebody was woken");
    shop.run("commit");
    shop.eventually("select count(*) = 1 from pgmq.q_shop_queue");
}

#[test]
fn a_waiting_poll_is_woken_by_what_is_enqueued() {
    let _alone = alone();
    let mut shop = shop("poll");
    let waiter = thread::spawn(|| {
        let start = Instant::now();
        let took = CLUSTER.connect("poll").rows("select attempt from tasker.poll_steps('shop', max_wait => '10 s')");
        (took, start.elapsed())
    });
    shop.eventually(
        "select exists (select from pg_stat_activity
           where query like '%poll_steps%' and pid <> pg_backend_pid() and wait_event_type = 'Extension')",
    );
    shop.request("shop", "two");
    let (took, waited) = waiter.join().unwrap();
    assert_eq!(took, ["1"]);
    assert!(waited < Duration::from_secs(9), "it waited till its end: {waited:?}");
}

#[test]
fn a_wait_for_a_task_ends_with_the_task() {
    let _alone = alone();
    let mut shop = shop("wait");
    let task = shop.request("shop", "two");
    let waiter = thread::spawn(move || {
        CLUSTER.connect("wait").value(&format!("select state, results from tasker.wait_for_task({task}, '25 s')"))
    });
    play::work_until_over(&mut shop, "shop");
    let results = r#"{"first": {"did": "first"}, "second": {"did": "second"}}"#;
    assert_eq!(waiter.join().unwrap(), format!("complete|{results}"));
}
