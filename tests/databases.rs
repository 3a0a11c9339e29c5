//! Every database that has the extension is served by orchestrators of its own, which stand in nobody's way.

use std::sync::LazyLock;

mod common;
use common::{Cluster, Database, eventually, play, two_steps};

static CLUSTER: LazyLock<Cluster> = LazyLock::new(|| Cluster::start("databases", &[]));

/// A database in which a task is in progress.
fn shop(name: &str) -> Database {
    let mut shop = CLUSTER.create(name);
    shop.register(&two_steps("shop"));
    shop.request("shop", "two");
    shop.eventually("select count(*) = 1 from pgmq.q_shop_queue");
    shop
}

fn orchestrators(database: &str) -> Vec<String> {
    CLUSTER.connect("postgres").rows(&format!(
        "select pid from pg_stat_activity where backend_type = 'tasker orchestrator' and datname = '{database}'"
    ))
}

fn finishes(shop: &mut Database) {
    play::work_until_over(shop, "shop");
    assert_eq!(shop.rows("select distinct state from tasker.tasks"), ["complete"]);
    assert!(shop.leftovers().is_empty(), "{:?}", shop.leftovers());
}

#[test]
fn two_databases_are_served_by_their_own_orchestrators() {
    let (mut one, mut other) = (shop("one"), shop("other"));
    let pids = [one.orchestrator(), other.orchestrator()];
    assert_ne!(pids[0], pids[1]);
    assert_eq!(orchestrators("one"), pids[..1]);
    assert_eq!(orchestrators("other"), pids[1..]);
    finishes(&mut one);
    assert_eq!(other.value("select state from tasker.tasks"), "in_progress");
    finishes(&mut other);
}

#[test]
fn the_extension_can_be_dropped_while_it_runs_and_created_again() {
    let mut shop = shop("dropped");
    shop.run("drop extension tasker_pg");
    eventually("the orchestrator had ended", || orchestrators("dropped").is_empty());
    // The queues are pgmq's: they stay, without our triggers.
    shop.run("select pgmq.send('orchestration_step_results', '{}')");
    shop.run("select pgmq.purge_queue(queue_name) from pgmq.list_queues()");
    shop.run("create extension tasker_pg");
    shop.register(&two_steps("shop"));
    shop.request("shop", "two");
    finishes(&mut shop);
}

#[test]
fn the_extension_can_be_dropped_under_load_again_and_again() {
    let mut shop = shop("busy");
    for _ in 0..8 {
        play::under_load(&CLUSTER, &mut shop, |shop| shop.run("drop extension tasker_pg"));
        shop.run("select pgmq.purge_queue(queue_name) from pgmq.list_queues()");
        shop.run("create extension tasker_pg");
        shop.register(&two_steps("shop"));
    }
    shop.request("shop", "two");
    finishes(&mut shop);
    assert!(!CLUSTER.log().contains("deadlock detected"), "a deadlock in the log");
}

#[test]
fn a_drop_of_the_extension_that_is_rolled_back_leaves_it_served() {
    let mut shop = shop("undropped");
    shop.run("begin; drop extension tasker_pg");
    eventually("the orchestrator had left", || orchestrators("undropped").is_empty());
    shop.run("rollback");
    shop.request("shop", "two");
    finishes(&mut shop);
}

#[test]
fn the_database_can_be_dropped_while_it_is_served() {
    drop(shop("gone"));
    CLUSTER.connect("postgres").run("drop database gone");
    assert!(orchestrators("gone").is_empty());
}

#[test]
fn the_database_can_be_renamed_while_it_is_served() {
    drop(shop("before"));
    CLUSTER.connect("postgres").run("alter database before rename to after");
    finishes(&mut CLUSTER.connect("after"));
}

#[test]
fn a_drop_that_fails_leaves_the_database_served() {
    let mut shop = shop("kept");
    let error = CLUSTER.connect("postgres").error("begin; drop database kept");
    assert_eq!(error.code().code(), "25001", "{error:?}");
    finishes(&mut shop);
}

#[test]
fn a_copy_stays_idle_and_says_so_until_it_takes_over() {
    drop(shop("original"));
    CLUSTER.connect("postgres").run("create database copy template original");

    let mut copy = CLUSTER.connect("copy");
    copy.eventually("select situation = 'copy' and state = 'copy' from tasker.orchestrator_status");
    assert!(copy.holds("select identity = 'copy' and advice like '%take_over%' from tasker.orchestrator_status"));
    let said = r#"tasker orchestrator stays idle: database "copy" is a copy of another"#;
    eventually("the log said so", || CLUSTER.log().contains(said));
    let task = copy.request("shop", "two");
    play::work_off(&mut copy, "shop");
    assert_eq!(copy.rows("select accepted + settled + started + enqueued from tasker.orchestrate()"), ["0"]);
    assert_eq!(copy.passes(), 0);
    finishes(&mut CLUSTER.connect("original"));

    copy.run("select tasker.take_over()");
    copy.eventually(&format!("select exists (select from tasker.steps where task_id = {task} and state = 'enqueued')"));
    finishes(&mut copy);
    assert_eq!(CLUSTER.log().matches(said).count(), 1, "it said so more than once");
}
