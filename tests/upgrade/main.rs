//! From every release to this version: an updated database is what a fresh one is, this library works with the SQL of the
//! release, and an update in the middle of a run loses nothing.
//!
//! `sql/releases/` holds what the releases installed; `scripts/update-script` makes the way to this version.

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

#[path = "../common/mod.rs"]
mod common;
use common::{Cluster, Database, SetAtEnd, eventually, output, play, project, template, two_steps};

static CLUSTER: LazyLock<Cluster> = LazyLock::new(|| Cluster::start("upgrade", &[]));

const VERSION: &str = env!("CARGO_PKG_VERSION");
const CATALOG: &str = include_str!("catalog.sql");

fn releases() -> Vec<String> {
    let printed = output(Command::new(project("scripts/update-script")).arg("releases"));
    let releases: Vec<_> = printed.lines().filter(|&release| release != VERSION).map(String::from).collect();
    assert!(!releases.is_empty());
    releases
}

/// A database with a release of the extension, and nothing in it. Its name says what it is for.
fn of_release(purpose: &str, release: &str) -> Database {
    let mut database = CLUSTER.create_empty(&format!("{purpose}_{}", release.replace('.', "_")));
    database.run(&format!(
        "set client_min_messages = warning; create extension tasker_pg version '{release}' cascade; reset client_min_messages"
    ));
    database
}

fn update(database: &mut Database) {
    database.run("alter extension tasker_pg update");
    let installed = database.value("select extversion from pg_extension where extname = 'tasker_pg'");
    assert_eq!(installed, VERSION);
}

fn catalog(database: &mut Database) -> BTreeSet<String> {
    database.rows(CATALOG).into_iter().collect()
}

/// Panics with what only one of them has.
fn assert_same(release: &str, updated: &BTreeSet<String>, fresh: &BTreeSet<String>) {
    let list = |lines: Vec<&String>| lines.iter().map(|line| format!("  {line}\n")).collect::<String>();
    let missing = list(fresh.difference(updated).collect());
    let surplus = list(updated.difference(fresh).collect());
    assert!(
        missing.is_empty() && surplus.is_empty(),
        "a database updated from {release} is not what a fresh one is; mend the last file of sql/updates/\n\
         only in the fresh one:\n{missing}only in the updated one:\n{surplus}"
    );
}

#[test]
fn an_updated_database_is_what_a_fresh_one_is() {
    let fresh = catalog(&mut CLUSTER.create("fresh"));
    assert!(fresh.len() > 1000, "the catalog has only {} lines", fresh.len());
    for release in releases() {
        let mut updated = of_release("updated", &release);
        update(&mut updated);
        assert_same(&release, &catalog(&mut updated), &fresh);
    }
}

#[test]
fn the_update_of_a_database_in_use_is_what_a_fresh_one_is() {
    let fresh = catalog(&mut CLUSTER.create("fresh_in_use"));
    for release in releases() {
        let mut updated = of_release("in_use", &release);
        updated.register(&two_steps("shop"));
        updated.request("shop", "two");
        play::work_until_over(&mut updated, "shop");
        update(&mut updated);
        assert_same(&release, &catalog(&mut updated), &fresh);
    }
}

#[test]
fn this_library_works_with_the_sql_of_a_release() {
    for release in releases() {
        let mut shop = of_release("old_sql", &release);
        shop.register(&two_steps("shop"));
        shop.run("select count(tasker.request_task('shop', 'two')) from generate_series(1, 50)");
        play::work_until_over(&mut shop, "shop");
        assert_eq!(shop.rows("select distinct state from tasker.tasks"), ["complete"]);
        let by_function = shop.request("shop", "two");
        for _ in 0..2 {
            shop.eventually(
                "select exists (select from tasker.poll_steps('shop') s
                   cross join lateral tasker.complete_step(s.step_id, s.attempt))",
            );
        }
        shop.eventually(&format!("select state = 'complete' from tasker.tasks where task_id = {by_function}"));
        assert!(shop.leftovers().is_empty(), "{:?}", shop.leftovers());
        assert_eq!(shop.value("select errors from tasker.orchestrator_status"), "0");
    }
}

/// What anybody can see of each task and step, whatever tables it is kept in.
fn visible(shop: &mut Database) -> Vec<String> {
    shop.rows(
        "select t.task_id, t.state, t.priority, t.context::text, t.tags::text, t.created_at, t.finished_at,
           tasker.task_results(t.task_id)::text
         from tasker.tasks t order by t.task_id;",
    )
    .into_iter()
    .chain(shop.rows(
        "select s.step_id, s.state, s.attempts, s.results::text from tasker.steps s order by s.step_id",
    ))
    .chain(shop.rows(
        "select step_id, from_state, to_state, attempt, created_at from tasker.step_transitions order by step_transition_id",
    ))
    .chain(shop.rows("select task_id, from_state, to_state, created_at from tasker.task_transitions order by task_transition_id"))
    .chain(shop.rows("select queue_name, message::text, reason from tasker.rejected_messages order by 1, 2"))
    .chain(shop.rows("select task_id, step_id, reason from tasker.dead_letters order by 1, 2"))
    .collect()
}

/// A database of a release in which tasks are over, in progress, not started, delayed, failed; steps are in the queue, at
/// workers, reported, waiting for a retry, waiting for room; and messages were rejected.
fn in_the_middle(purpose: &str, release: &str) -> Database {
    let mut shop = of_release(purpose, release);
    shop.run("select tasker.create_namespace('shop', max_in_flight => 10)");
    shop.register(&two_steps("shop"));
    shop.register(&template("shop", "diamond", &[("a", &[]), ("b", &["a"]), ("c", &["a"]), ("d", &["b", "c"])]));
    shop.run("select count(tasker.request_task('shop', 'two', '{\"n\": 1}', tags => array['many'])) from generate_series(1, 40)");
    shop.run("select count(tasker.request_task('shop', 'diamond')) from generate_series(1, 20)");
    shop.run(
        "select tasker.request_task('shop', 'two', run_at => clock_timestamp() + '2 s', idempotency_key => 'later')",
    );
    shop.run("select pgmq.send('orchestration_task_requests', '{\"nonsense\": true}')");
    eventually("some tasks were over", || {
        shop.run(
            "select pgmq.send('orchestration_step_results', jsonb_build_object('step_id', step_id, 'attempt', attempt,
               'status', 'failure', 'error', jsonb_build_object('retryable', step_id % 4 > 0)))
             from tasker.poll_steps('shop', 2)",
        );
        play::work_off(&mut shop, "shop");
        shop.holds("select count(*) > 5 from tasker.tasks where state = 'complete'")
    });
    shop.eventually("select exists (select from tasker.poll_steps('shop', 3))");
    shop.eventually("select exists (select from tasker.rejected_messages)");
    shop
}

fn finishes(shop: &mut Database) {
    // What the polls above took and nobody reports.
    shop.run(
        "select tasker.release_steps(array_agg(s.step_id), array_agg(s.attempts)) from tasker.steps s
         where s.state = 'in_progress' and s.reported_at is null",
    );
    play::work_until_over(shop, "shop");
    shop.eventually("select not exists (select from tasker.check())");
    assert_eq!(shop.value("select count(*) from tasker.tasks where state not in ('complete', 'error')"), "0");
    let same = "select tasker.request_task('shop', 'two', idempotency_key => 'later')";
    assert_eq!(shop.value(same), "61", "the key is known");
}

#[test]
fn an_update_keeps_everything_and_the_run_goes_on() {
    for release in releases() {
        let mut shop = in_the_middle("kept", &release);
        // Nothing may move between the two looks: one transaction, with every table locked.
        shop.run("begin; lock table tasker.tasks, tasker.steps in exclusive mode");
        let before = visible(&mut shop);
        assert!(before.iter().any(|line| line.contains("|waiting_for_retry|")), "{before:#?}");
        update(&mut shop);
        assert_eq!(visible(&mut shop), before);
        shop.run("commit");
        assert!(shop.rows("select * from tasker.check()").is_empty());
        finishes(&mut shop);
    }
}

#[test]
fn an_update_beside_workers_who_go_on() {
    for release in releases() {
        let mut shop = in_the_middle("beside", &release);
        let (over, name) = (AtomicBool::new(false), shop.name.clone());
        thread::scope(|threads| {
            let _ends = SetAtEnd(&over);
            for _ in 0..2 {
                threads.spawn(|| {
                    let mut worker = CLUSTER.connect(&name);
                    while !over.load(Ordering::Relaxed) {
                        match play::try_work_off(&mut worker, "shop") {
                            Ok(_) => thread::sleep(std::time::Duration::from_millis(2)),
                            // The update steps back first where it can; where it cannot, who repeats is right.
                            Err(error) => assert_eq!(error.code().map(|code| code.code()), Some("40P01"), "{error}"),
                        }
                        worker.run("select tasker.request_task('shop', 'diamond')");
                    }
                });
            }
            let done = "select count(*) from tasker.tasks where state = 'complete'";
            let before = shop.number(done);
            shop.eventually(&format!("select ({done}) > {before}"));
            update(&mut shop);
            let after = shop.number(done);
            shop.eventually(&format!("select ({done}) > {after} + 20"));
        });
        finishes(&mut shop);
    }
}

#[test]
fn rights_of_others_survive_an_update_and_none_of_ours_is_left_over() {
    CLUSTER.connect("postgres").run("create role dashboard; create role batch");
    for release in releases() {
        let mut shop = of_release("rights", &release);
        shop.run(
            "grant usage on schema tasker to dashboard;
             grant select on tasker.task_status to dashboard with grant option;
             grant select (task_id) on tasker.step_status to dashboard;
             grant execute on function tasker.retry_task to batch;
             grant execute on function tasker.take_over to tasker_worker",
        );
        update(&mut shop);
        assert!(
            shop.holds("select has_table_privilege('dashboard', 'tasker.task_status', 'select with grant option')")
        );
        assert!(shop.holds("select has_column_privilege('dashboard', 'tasker.step_status', 'task_id', 'select')"));
        assert!(shop.holds("select not has_column_privilege('dashboard', 'tasker.step_status', 'state', 'select')"));
        assert!(shop.holds(
            "select bool_and(has_function_privilege('batch', oid, 'execute')) from pg_proc
             where pronamespace = 'tasker'::regnamespace and proname = 'retry_task'"
        ));
        assert!(shop.holds("select not has_function_privilege('tasker_worker', 'tasker.take_over()', 'execute')"));
    }
}

#[test]
fn an_update_is_refused_where_views_of_others_stand_on_ours() {
    for release in releases() {
        let mut shop = of_release("views", &release);
        shop.run("create view mine as select task_id from tasker.task_status");
        let error = shop.error("alter extension tasker_pg update");
        assert_eq!(error.code().code(), "2BP01", "{error:?}");
        assert!(error.detail().is_some_and(|detail| detail.contains("mine")), "{error:?}");
        shop.run("drop view mine");
        update(&mut shop);
    }
}
