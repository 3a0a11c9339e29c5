//! The processes: they come back, they obey the settings, they lose nothing. One test at a time, since each disturbs the
//! whole cluster.

use std::sync::{LazyLock, MutexGuard};
use std::thread;

mod common;
use common::{A_MOMENT, Cluster, Database, alone, eventually, play, signal, two_steps};

static CLUSTER: LazyLock<Cluster> = LazyLock::new(|| {
    // Autovacuum takes transaction ids, which one of the tests counts.
    Cluster::start("process", &["tasker.cycle_interval=50ms", "autovacuum=off", "max_prepared_transactions=2"])
});

/// The right to disturb the cluster. What a test has set ends with it.
struct Turn {
    _alone: MutexGuard<'static, ()>,
}

fn turn() -> Turn {
    Turn { _alone: alone() }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if CLUSTER.try_connect("postgres").is_ok() {
            CLUSTER.reset_settings();
        }
    }
}

/// A database with a template of two steps, and an orchestrator that has nothing to do.
fn shop(name: &str) -> Database {
    let mut shop = CLUSTER.create(name);
    shop.register(&two_steps("shop"));
    shop.is_served();
    shop
}

/// Finishes every task, and sees that all is in order then.
fn finishes(shop: &mut Database) {
    play::work_until_over(shop, "shop");
    assert_eq!(shop.rows("select distinct state from tasker.tasks"), ["complete"]);
    assert!(shop.leftovers().is_empty(), "{:?}", shop.leftovers());
}

fn terminate(pid: &str) {
    assert!(CLUSTER.connect("postgres").holds(&format!("select pg_terminate_backend({pid})")));
}

const LAUNCHER: &str = "select pid from pg_stat_activity where backend_type = 'tasker launcher'";

#[test]
fn a_terminated_orchestrator_comes_back() {
    let _turn = turn();
    let mut shop = shop("terminated");
    for _ in 0..2 {
        let pid = shop.orchestrator();
        terminate(&pid);
        shop.eventually(&format!("select pid <> {pid} and situation = 'running' from tasker.orchestrator_status"));
        shop.request("shop", "two");
        finishes(&mut shop);
    }
}

#[test]
fn a_terminated_launcher_comes_back_and_goes_on() {
    let _turn = turn();
    let (mut shop, mut postgres) = (shop("launched"), CLUSTER.connect("postgres"));
    let (launcher, orchestrator) = (postgres.value(LAUNCHER), shop.orchestrator());
    terminate(&launcher);
    eventually("there was another launcher", || postgres.rows(LAUNCHER).first().is_some_and(|pid| *pid != launcher));
    assert_eq!(shop.orchestrator(), orchestrator, "the orchestrators need no launcher");
    // It looks after those that it has not started itself, and after new databases.
    terminate(&orchestrator);
    shop.eventually(&format!("select exists (select from tasker.orchestrator_status where pid <> {orchestrator})"));
    CLUSTER.create("launched_later").run("select tasker.create_namespace('later')");
    CLUSTER.connect("launched_later").is_served();
    shop.request("shop", "two");
    finishes(&mut shop);
}

#[test]
fn a_killed_orchestrator_costs_nothing() {
    let _turn = turn();
    let mut shop = shop("killed");
    shop.run("select count(tasker.request_task('shop', 'two')) from generate_series(1, 200)");
    for _ in 0..3 {
        play::work_off(&mut shop, "shop");
    }
    let pid = shop.orchestrator();
    signal("KILL", &pid);
    eventually("the server had noticed", || shop.try_rows("select 1").is_err());
    eventually("the server was back", || CLUSTER.try_connect("killed").is_ok());
    let mut shop = CLUSTER.connect("killed");
    shop.is_served();
    finishes(&mut shop);
    assert_eq!(shop.value("select count(*) from tasker.tasks"), "200");
}

#[test]
fn an_idle_system_takes_no_transaction_ids() {
    let _turn = turn();
    CLUSTER.set("tasker.cycle_interval", "10ms");
    let mut shop = shop("idle");
    // Idle is not empty: something is over, something is queued, something waits for room, something for its time.
    shop.request("shop", "two");
    finishes(&mut shop);
    shop.run("select tasker.set_namespace_limit('shop', 1)");
    shop.run("select tasker.request_task('shop', 'two') from generate_series(1, 3)");
    shop.run("select tasker.request_task('shop', 'two', run_at => now() + '1 hour')");
    shop.run("select tasker.create_namespace('empty')");
    shop.eventually("select count(*) = 1 from pgmq.q_shop_queue");
    shop.is_served();

    const NEXT_ID: &str = "select pg_snapshot_xmax(pg_current_snapshot())";
    thread::sleep(A_MOMENT); // what the other tests have left may come to an end
    let (next_id, passes) = (shop.value(NEXT_ID), shop.passes());
    eventually("a hundred passes had gone by", || shop.passes() >= passes + 100);
    assert_eq!(shop.value(NEXT_ID), next_id);
}

#[test]
fn a_prepared_transaction_is_seen_by_the_backstop() {
    let _turn = turn();
    let mut shop = shop("prepared");
    shop.run("begin");
    shop.request("shop", "two");
    shop.run("prepare transaction 'request'");
    shop.run("commit prepared 'request'");
    shop.eventually("select count(*) = 1 from pgmq.q_shop_queue");
}

#[test]
fn switching_off_and_on_takes_a_reload() {
    let _turn = turn();
    let mut shop = shop("switched");
    CLUSTER.set("tasker.enabled", "off");
    shop.eventually("select situation = 'switched off' and state = 'disabled' from tasker.orchestrator_status");
    let passes = shop.passes();
    shop.request("shop", "two");
    thread::sleep(A_MOMENT);
    assert_eq!(shop.value("select state from tasker.tasks"), "pending");
    assert_eq!(shop.passes(), passes);
    // By hand it works all the same.
    assert_eq!(shop.value("select enqueued from tasker.orchestrate()"), "1");
    CLUSTER.set("tasker.enabled", "on");
    finishes(&mut shop);
}

#[test]
fn the_number_of_orchestrators_takes_a_reload() {
    let _turn = turn();
    let mut shop = shop("several");
    CLUSTER.set("tasker.databases", "several"); // three for each would be more than there are workers
    CLUSTER.set("tasker.orchestrators", "3");
    shop.eventually("select count(*) = 3 and bool_and(situation = 'running') from tasker.orchestrator_status");
    shop.run("select count(tasker.request_task('shop', 'two')) from generate_series(1, 100)");
    finishes(&mut shop);
    CLUSTER.set("tasker.orchestrators", "1");
    shop.eventually("select count(*) = 1 and bool_and(worker = 0) from tasker.orchestrator_status");
}

#[test]
fn only_the_listed_databases_are_served() {
    let _turn = turn();
    let mut shop = shop("listed");
    CLUSTER.set("tasker.databases", "somewhere, else");
    shop.eventually("select situation = 'not served' and pid is null from tasker.orchestrator_status");
    CLUSTER.set("tasker.databases", "else, listed");
    shop.is_served();
}

#[test]
fn a_failing_pass_is_counted_and_shown_and_heals() {
    let _turn = turn();
    let mut shop = shop("failing");
    shop.run("alter table pgmq.q_orchestration_step_results rename to elsewhere");
    shop.eventually("select situation = 'failing' and errors > 1 from tasker.orchestrator_status");
    let shown = shop.value("select state, last_error, last_error_at is not null from tasker.orchestrator_status");
    let expected = r#"failing|42P01: relation "pgmq.q_orchestration_step_results" does not exist|t"#;
    assert_eq!(shown, expected);
    assert!(CLUSTER.log().contains("pass of the tasker orchestrator failed"));
    shop.request("shop", "two");
    shop.run("alter table pgmq.elsewhere rename to q_orchestration_step_results");
    shop.is_served();
    finishes(&mut shop);
}
