//! Without shared_preload_libraries there is no background worker, and everything else works.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

mod common;
use common::{Cluster, Database, play, two_steps};

static CLUSTER: LazyLock<Cluster> = LazyLock::new(|| Cluster::start("no_preload", &["shared_preload_libraries="]));

fn shop(name: &str) -> Database {
    let mut shop = CLUSTER.create(name);
    shop.register(&two_steps("shop"));
    shop
}

#[test]
fn passes_by_hand_run_a_task_to_its_end() {
    let mut shop = shop("by_hand");
    let task = shop.request("shop", "two");
    assert_eq!(shop.value("select started, enqueued from tasker.orchestrate()"), "1|1");
    assert_eq!(play::work_off(&mut shop, "shop"), 1);
    assert_eq!(shop.value("select settled, enqueued, finished from tasker.orchestrate()"), "1|1|0");
    assert_eq!(play::work_off(&mut shop, "shop"), 1);
    assert_eq!(shop.value("select settled, finished from tasker.orchestrate()"), "1|1");
    assert_eq!(shop.value(&format!("select state from tasker.wait_for_task({task})")), "complete");
    assert!(shop.leftovers().is_empty(), "{:?}", shop.leftovers());
}

#[test]
fn functions_work_as_with_preload() {
    let mut shop = shop("functions");
    shop.request("shop", "two");
    for step in ["first", "second"] {
        shop.run("select tasker.run_until_idle()");
        assert_eq!(shop.value("select message ->> 'step_name' from tasker.poll_steps('shop')"), step);
        shop.run("select tasker.complete_step(step_id, attempts) from tasker.steps where state = 'in_progress'");
    }
    shop.run("select tasker.run_until_idle()");
    assert_eq!(shop.value("select state from tasker.tasks"), "complete");
}

#[test]
fn the_status_says_what_is_missing() {
    let mut shop = shop("status");
    let status = shop.value("select situation, pid is null, advice from tasker.orchestrator_status");
    assert!(status.starts_with("not preloaded|t|") && status.contains("shared_preload_libraries"), "{status}");
    assert_eq!(shop.value("select count(*) from tasker.queue_status"), "3");
    assert_eq!(shop.value("select namespace, status from tasker.namespace_status"), "shop|open");
}

#[test]
fn a_waiting_poll_returns_when_its_time_is_over() {
    let mut shop = shop("waits");
    let start = Instant::now();
    assert!(shop.rows("select * from tasker.poll_steps('shop', max_wait => '500 ms')").is_empty());
    let waited = start.elapsed();
    assert!(waited >= Duration::from_millis(500) && waited < Duration::from_secs(5), "{waited:?}");
}

#[test]
fn a_waiting_poll_finds_what_comes_meanwhile() {
    let mut shop = shop("meanwhile");
    shop.request("shop", "two");
    let waiter = std::thread::spawn(|| {
        CLUSTER.connect("meanwhile").rows("select attempt from tasker.poll_steps('shop', max_wait => '10 s')")
    });
    shop.eventually(
        "select exists (select from pg_stat_activity
           where query like '%poll_steps%' and pid <> pg_backend_pid() and wait_event_type = 'Extension')",
    );
    shop.run("select tasker.run_until_idle()");
    assert_eq!(waiter.join().unwrap(), ["1"]);
}
