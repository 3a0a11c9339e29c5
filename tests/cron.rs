//! Recurring work, and passes, by pg_cron, with the statements that docs/operations.md shows.
//!
//! The jobs are documented for every hour and every second. Nobody waits for the hour here, and Debian's pg_cron 1.4 knows
//! no seconds: what runs is their commands, as jobs of `@reboot`, which pg_cron starts whenever its launcher starts.

use std::io::{Write, stderr};
use std::path::Path;
use std::process::Command;

mod common;
use common::{Cluster, Database, documented, environment, output, play, two_steps};

const DOCUMENT: &str = "docs/operations.md";

/// scripts/setup installs it where the system has a package. Says so where there is none; not by eprintln, which the test
/// harness keeps to itself.
fn pg_cron_is_there() -> bool {
    let share = output(Command::new(environment("PG_CONFIG")).arg("--sharedir"));
    let there = Path::new(share.trim()).join("extension/pg_cron.control").exists();
    if !there {
        let _ = writeln!(stderr(), "SKIPPED: tests/cron.rs, since this server has no pg_cron");
    }
    there
}

/// A cluster with the documented settings, and the preloaded libraries that it shall have instead.
fn cluster(name: &str, preload: Option<&str>) -> Cluster {
    let settings: Vec<_> = documented(DOCUMENT, "## Recurring work", "ini")
        .concat()
        .lines()
        .map(|line| {
            let (name, value) = line.split_once('=').expect("a setting");
            let value = value.trim().trim_matches('\'');
            let is_preload = name.trim() == "shared_preload_libraries";
            format!("{}={}", name.trim(), preload.filter(|_| is_preload).unwrap_or(value))
        })
        .collect();
    Cluster::start(name, &settings.iter().map(String::as_str).collect::<Vec<_>>())
}

/// The database with tasker_pg that pg_cron is to serve, once it has seen that there is no job to start with.
fn shop(cluster: &Cluster) -> Database {
    let mut shop = cluster.create("shop");
    shop.eventually(
        "select exists (select from pg_stat_activity where backend_type = 'pg_cron launcher' and wait_event_type = 'Extension')",
    );
    shop
}

/// Lets every job fire once, by a restart of the server, and waits until they are done.
fn fire(cluster: &Cluster, shop: &mut Database, jobs: i64) {
    const DONE: &str = "select count(*) from cron.job_run_details where status in ('succeeded', 'failed')";
    let done = shop.number(DONE);
    cluster.stop("fast");
    cluster.start_again();
    *shop = cluster.connect("shop");
    shop.eventually(&format!("select ({DONE}) >= {}", done + jobs));
    let failed = "select status, return_message from cron.job_run_details where status <> 'succeeded'";
    assert!(shop.rows(failed).is_empty(), "{:?}", shop.rows(failed));
    assert_eq!(shop.number(DONE), done + jobs);
}

fn hour(shop: &mut Database) -> String {
    shop.value("select to_char(now() at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24')")
}

#[test]
fn one_slot_is_one_task_however_often_its_job_fires() {
    if !pg_cron_is_there() {
        return;
    }
    let cluster = cluster("cron", None);
    let mut shop = shop(&cluster);
    shop.register(&common::template("shop", "report", &[("only", &[])]));
    let blocks = documented(DOCUMENT, "## Recurring work", "sql");
    let [by_hand, prepare, schedule, look] = &*blocks else { panic!("{blocks:#?}") };
    shop.run(prepare);

    // The documented job, and a second one for the same slots.
    shop.run(schedule);
    let again = schedule.replace("cron.schedule('report',", "cron.schedule('report once more',");
    assert_ne!(&again, schedule);
    shop.run(&again);
    assert_eq!(shop.value("select count(*) from cron.job where schedule = '0 * * * *' and username = 'planner'"), "2");
    shop.run("reset role");
    shop.run("select cron.alter_job(jobid, schedule => '@reboot') from cron.job");

    // Two rounds of two within one hour. Should the hour end between them, they are repeated in the next.
    let slot = loop {
        let slot = hour(&mut shop);
        fire(&cluster, &mut shop, 2);
        fire(&cluster, &mut shop, 2);
        shop.run(by_hand);
        if hour(&mut shop) == slot {
            break slot;
        }
    };
    let slots = shop.rows("select distinct to_char(start_time at time zone 'UTC', 'HH24') from cron.job_run_details");
    let tasks = shop.rows("select identity_key from tasker.tasks order by task_id");
    assert_eq!(tasks.len(), slots.len(), "{tasks:?}");
    assert!(tasks.last().is_some_and(|task| *task == format!("report/report-{slot}")), "{tasks:?}");

    // The next slot is another task.
    shop.run("select cron.alter_job(jobid, command => replace(command, 'now()', '(now() + interval ''1 hour'')')) from cron.job");
    fire(&cluster, &mut shop, 2);
    let later = shop.number("select count(*) from tasker.tasks");
    assert!(later > tasks.len() as i64, "{later} tasks");

    play::work_until_over(&mut shop, "shop");
    assert!(shop.leftovers().is_empty(), "{:?}", shop.leftovers());
    shop.run("set role planner");
    shop.run(look);
    shop.run("reset role");
    assert_eq!(shop.value("select count(*) from cron.job where jobname = 'report'"), "0");
}

#[test]
fn pg_cron_makes_the_passes_where_the_library_is_not_preloaded() {
    if !pg_cron_is_there() {
        return;
    }
    let cluster = cluster("cron_passes", Some("pg_cron"));
    let mut shop = shop(&cluster);
    shop.run("create extension pg_cron");
    shop.register(&two_steps("shop"));
    assert_eq!(shop.value("select situation from tasker.orchestrator_status"), "not preloaded");
    let job = documented(DOCUMENT, "## Without preload", "sql")
        .into_iter()
        .find(|block| block.contains("cron.schedule"))
        .expect("the documented job");
    assert!(job.contains("'1 second'"), "{job}");
    shop.run(&job.replace("'1 second'", "'@reboot'"));

    shop.request("shop", "two");
    for _ in 0..2 {
        fire(&cluster, &mut shop, 1);
        assert_eq!(play::work_off(&mut shop, "shop"), 1);
    }
    fire(&cluster, &mut shop, 1);
    assert_eq!(shop.value("select state from tasker.tasks"), "complete");
    assert!(shop.leftovers().is_empty(), "{:?}", shop.leftovers());
}
