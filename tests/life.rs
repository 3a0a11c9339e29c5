//! What happens to a server in its life: odd settings, a full disk, no room for another process, shutdowns, clocks that
//! jump, databases that go under load. The work goes on, or waits and says so, and nothing is lost.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

mod common;
use common::{
    Cluster, Database, as_server_user, eventually, is_root, output, play, project, server_program, tell, two_steps,
};

fn shop(cluster: &Cluster, name: &str) -> Database {
    let mut shop = cluster.create(name);
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

// Settings ---------------------------------------------------------------------------------------------------------

/// What people set for a database or a role, and what would trip an engine that relies on the defaults.
const ODD_SETTINGS: [&str; 30] = [
    "statement_timeout = '1ms'",
    "lock_timeout = '1ms'",
    "idle_in_transaction_session_timeout = '1ms'",
    "idle_session_timeout = '1ms'",
    "default_transaction_isolation = 'serializable'",
    "default_transaction_read_only = on",
    "default_transaction_deferrable = on",
    "search_path = 'shadow', 'pg_catalog'",
    "row_security = off",
    "session_replication_role = replica",
    "role = 'nobody_in_particular'",
    "datestyle = 'German, DMY'",
    "intervalstyle = 'sql_standard'",
    "timezone = 'Asia/Kathmandu'",
    "bytea_output = 'escape'",
    "extra_float_digits = -15",
    "standard_conforming_strings = off",
    "array_nulls = off",
    "transform_null_equals = on",
    "quote_all_identifiers = on",
    "check_function_bodies = off",
    "plpgsql.variable_conflict = 'use_column'",
    "plpgsql.extra_errors = 'all'",
    "plan_cache_mode = 'force_generic_plan'",
    "force_parallel_mode = on",
    "enable_indexscan = off",
    "enable_hashjoin = off",
    "work_mem = '64kB'",
    "synchronous_commit = off",
    "client_min_messages = 'error'",
];

/// All at once, for the database that the orchestrator works in and for the role as which it starts.
#[test]
fn no_setting_of_a_database_or_role_stops_the_engine() {
    let cluster = Cluster::start("settings", &[]);
    let mut plain = shop(&cluster, "odd");
    plain.run(
        "create role nobody_in_particular;
         create schema shadow;
         create function shadow.clock_timestamp() returns timestamptz language sql return timestamptz '1970-01-01';
         create function shadow.jsonb_build_object(variadic \"any\") returns jsonb language internal immutable as 'jsonb_build_object_noargs';
         create operator shadow.= (leftarg = bigint, rightarg = bigint, function = int8ne);
         create function shadow.trap(text, text) returns boolean language plpgsql as 'begin raise exception ''a trap''; end';
         create operator shadow.= (leftarg = text, rightarg = text, function = shadow.trap);
         create function shadow.look() returns trigger language plpgsql as 'begin return new; end';
         create trigger look before update on tasker.tasks for each row execute function shadow.look();
         create trigger look before update on tasker.steps for each row execute function shadow.look()",
    );
    for setting in known_settings(&mut plain) {
        plain.run(&format!("alter database odd set {setting}; alter role postgres in database odd set {setting}"));
    }
    let before = plain.orchestrator();
    plain.run(&format!("select pg_terminate_backend({before})"));
    plain.eventually(&format!(
        "select coalesce(bool_and(pid <> {before} and situation = 'running' and state = 'idle'), false)
         from tasker.orchestrator_status"
    ));
    // This session began before: it has none of them. The first work comes by function, the rest by queue.
    plain.run("select count(tasker.request_task('shop', 'two')) from generate_series(1, 20)");
    plain.run(
        "select pgmq.send('orchestration_task_requests', '{\"namespace\": \"shop\", \"name\": \"two\", \"context\": {}}')
         from generate_series(1, 20)",
    );
    plain.run("select pgmq.send('orchestration_step_results', '{\"nonsense\": true}')");
    plain.eventually("select count(*) = 40 from tasker.tasks");
    play::work_until_over(&mut plain, "shop");
    assert_eq!(plain.rows("select state, count(*) from tasker.tasks group by 1"), ["complete|40"]);
    assert_eq!(plain.rows("select reason is not null from tasker.rejected_messages"), ["t"]);
    assert!(plain.rows("select * from tasker.check()").is_empty());
    assert_eq!(plain.value("select errors, last_error is null from tasker.orchestrator_status"), "0|t");
}

/// Those that this version of the server has.
fn known_settings(database: &mut Database) -> Vec<&'static str> {
    database.run("load 'plpgsql'");
    let is_known = |name: &str, database: &mut Database| {
        database.holds(&format!("select exists (select from pg_settings where name = '{name}') or '{name}' = 'role'"))
    };
    let name = |setting: &'static str| setting.split(' ').next().unwrap();
    ODD_SETTINGS.into_iter().filter(|setting| is_known(name(setting), database)).collect()
}

/// The clients' side of it: what they call obeys their own timeouts, and works under the other settings.
#[test]
fn a_statement_timeout_ends_a_waiting_call_and_costs_nothing() {
    let cluster = Cluster::start("timeouts", &[]);
    let mut shop = shop(&cluster, "shop");
    shop.run("set statement_timeout = '50ms'");
    let error = shop.error("select * from tasker.poll_steps('shop', 1, max_wait => '10 s')");
    assert_eq!(error.code().code(), "57014", "{error:?}");
    shop.run("set statement_timeout = 0");
    shop.request("shop", "two");
    // A lock of somebody's that stays: a report gives up after the caller's lock_timeout, the engine goes on.
    shop.eventually("select count(*) = 1 from pgmq.q_shop_queue");
    let step = shop.value("select step_id from tasker.poll_steps('shop', 1)");
    let mut other = cluster.connect("shop");
    other.run(&format!("begin; select from tasker.steps where step_id = {step} for update"));
    shop.run("set lock_timeout = '20ms'");
    let error = shop.error(&format!("select tasker.complete_step({step}, 1)"));
    assert_eq!(error.code().code(), "55P03", "{error:?}");
    other.run("rollback");
    shop.run(&format!("select tasker.complete_step({step}, 1)"));
    finishes(&mut shop);
    assert_eq!(shop.value("select errors from tasker.orchestrator_status"), "0");
}

// Shutdown ---------------------------------------------------------------------------------------------------------

/// Requests, works and waits until the server goes. Returns how many requests were acknowledged.
fn busy_until_down(cluster: &Cluster, database: &str, what: usize, over: &AtomicBool) -> i64 {
    let mut shop = cluster.connect(database);
    let mut acknowledged = 0;
    while !over.load(Ordering::Relaxed) {
        let done = match what {
            0 | 1 => shop.try_rows("select tasker.request_task('shop', 'two')").map(|_| acknowledged += 1),
            2 | 3 => play::try_work_off(&mut shop, "shop").map(drop),
            4 => shop.try_rows("select * from tasker.poll_steps('nobody', 1, max_wait => '10 s')").map(drop),
            _ => shop.try_rows("select tasker.wait_for_task(1000000000, '10 s')").map(drop),
        };
        // Nobody has ever asked for that task.
        if done.is_err_and(|error| error.is_closed() || error.code().is_none_or(|code| code.code().starts_with("57"))) {
            break;
        }
    }
    acknowledged
}

#[test]
fn a_fast_shutdown_at_full_load_ends_and_loses_nothing() {
    let cluster = Cluster::start("fast", &[]);
    let mut first = shop(&cluster, "shop");
    first.run("select tasker.create_namespace('nobody')");
    let over = AtomicBool::new(false);
    let acknowledged: i64 = thread::scope(|scope| {
        let (cluster, over) = (&cluster, &over);
        let clients: Vec<_> =
            (0..6).map(|what| scope.spawn(move || busy_until_down(cluster, "shop", what, over))).collect();
        first.eventually("select count(*) > 200 from tasker.tasks where finished_at is not null");
        let start = Instant::now();
        cluster.stop("fast");
        tell(&format!("a fast shutdown at full load took {:?}", start.elapsed()));
        over.store(true, Ordering::Relaxed);
        clients.into_iter().map(|client| client.join().unwrap()).sum()
    });
    cluster.start_again();
    let mut again = cluster.connect("shop");
    again.is_served();
    finishes(&mut again);
    let kept = again.number("select count(*) from tasker.tasks");
    // A commit may have been followed by the end before its answer had arrived.
    assert!((acknowledged..=acknowledged + 2).contains(&kept), "{acknowledged} acknowledged, {kept} kept");
    assert!(!cluster.log().contains("received immediate shutdown") && !cluster.log().contains("PANIC"));
}

#[test]
fn a_smart_shutdown_serves_the_clients_that_are_left_and_ends_after_the_last() {
    let cluster = Cluster::start("smart", &[]);
    let mut last = shop(&cluster, "shop");
    let mut pg_ctl = as_server_user(server_program("pg_ctl"));
    let data = cluster.home().join("data");
    output(pg_ctl.arg("-D").arg(&data).args(["-m", "smart", "-W", "stop"]));
    eventually("the server took no one new", || cluster.try_connect("shop").is_err());
    last.request("shop", "two");
    finishes(&mut last);
    let start = Instant::now();
    drop(last);
    eventually("the server had ended", || !data.join("postmaster.pid").exists());
    tell(&format!("a smart shutdown took {:?} after the last client had left", start.elapsed()));
    cluster.start_again();
    let mut again = cluster.connect("shop");
    again.is_served();
    again.request("shop", "two");
    finishes(&mut again);
}

// A full disk ------------------------------------------------------------------------------------------------------

/// A small file system of its own. Only root can make one.
struct Disk(PathBuf);

impl Disk {
    fn new(name: &str, size: &str) -> Option<Disk> {
        let dir = PathBuf::from(format!("/tmp/tasker_pg.disk.{}.{name}", std::process::id()));
        fs::create_dir(&dir).unwrap();
        let mounted = is_root()
            && Command::new("mount")
                .args(["-t", "tmpfs", "-o", &format!("size={size},mode=0700"), "tmpfs"])
                .arg(&dir)
                .status()
                .is_ok_and(|status| status.success());
        if !mounted {
            fs::remove_dir(&dir).unwrap();
            tell("SKIPPED: no file system can be mounted here, so that no disk can be full. Run it as root.");
            return None;
        }
        output(Command::new("chown").arg("postgres:").arg(&dir));
        Some(Disk(dir))
    }

    fn fill(&self) {
        // It ends with an error when there is no room left.
        let filler = format!("of={}", self.0.join("filler").display());
        let _ = Command::new("dd").args(["if=/dev/zero", "bs=64k", &filler]).stderr(Stdio::null()).status();
    }

    fn empty(&self) {
        fs::remove_file(self.0.join("filler")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
        let _ = fs::remove_dir(&self.0);
    }
}

/// Requests until one fails: the SQLSTATE. Long contexts, so that it does not take long.
fn request_until_full(shop: &mut Database, acknowledged: &mut i64) -> String {
    loop {
        let request = "select tasker.request_task('shop', 'two',
          jsonb_build_object('long', (select string_agg(md5(n::text || random()), '') from generate_series(1, 500) n)))";
        match shop.try_rows(request) {
            Ok(_) => *acknowledged += 1,
            Err(error) => return error.code().map(|code| code.code().to_string()).unwrap_or_default(),
        }
    }
}

#[test]
fn a_full_disk_stops_the_work_and_rejects_nothing() {
    let Some(disk) = Disk::new("data", "64m") else { return };
    let cluster = Cluster::start("full", &["autovacuum=off"]);
    cluster.connect("postgres").run(&format!("create tablespace small location '{}'", disk.0.display()));
    cluster.connect("postgres").run("create database shop tablespace small");
    let mut shop = cluster.connect("shop");
    shop.run("set client_min_messages = warning; create extension tasker_pg cascade");
    shop.register(&two_steps("shop"));
    shop.is_served();
    // Requests and results that are in their queues when the disk is full, so that the engine meets it with them.
    let mut acknowledged = 0;
    cluster.set("tasker.enabled", "off");
    shop.eventually("select situation = 'switched off' and state = 'disabled' from tasker.orchestrator_status");
    for _ in 0..500 {
        shop.run("select pgmq.send('orchestration_task_requests', '{\"namespace\": \"shop\", \"name\": \"two\", \"context\": {}}')");
        acknowledged += 1;
    }
    disk.fill();
    assert_eq!(request_until_full(&mut shop, &mut acknowledged), "53100");
    cluster.set("tasker.enabled", "on");
    shop.eventually("select situation = 'failing' and last_error like '53100%' from tasker.orchestrator_status");
    shop.eventually("select errors >= 3 from tasker.orchestrator_status");
    assert!(cluster.log().contains("pass of the tasker orchestrator failed: could not extend file"));
    disk.empty();
    shop.eventually("select situation = 'running' from tasker.orchestrator_status");
    finishes(&mut shop);
    assert_eq!(shop.number("select count(*) from tasker.tasks"), acknowledged);
    drop(shop);
    cluster.stop("immediate");
}

#[test]
fn a_full_disk_under_the_log_ends_the_server_and_loses_nothing() {
    let Some(disk) = Disk::new("wal", "96m") else { return };
    let cluster = Cluster::start("full_wal", &["max_wal_size=64MB", "min_wal_size=32MB", "autovacuum=off"]);
    let mut first = shop(&cluster, "shop");
    first.request("shop", "two");
    finishes(&mut first);
    drop(first);
    cluster.stop("fast");
    let (wal, moved) = (cluster.home().join("data/pg_wal"), disk.0.join("pg_wal"));
    output(Command::new("mv").arg(&wal).arg(&moved));
    std::os::unix::fs::symlink(&moved, &wal).unwrap();
    cluster.start_again();
    let mut shop = cluster.connect("shop");
    shop.is_served();
    let mut acknowledged = 1;
    disk.fill();
    let state = request_until_full(&mut shop, &mut acknowledged);
    println!("{acknowledged} requests were acknowledged before the log was full ({state:?})");
    disk.empty();
    // A server that could not write its log has ended; one that is restarting needs nobody.
    eventually("the server was up", || {
        cluster.start_again();
        cluster.try_connect("shop").is_ok_and(|database| {
            shop = database;
            shop.try_rows("select 1").is_ok()
        })
    });
    shop.is_served();
    finishes(&mut shop);
    let kept = shop.number("select count(*) from tasker.tasks");
    assert!((acknowledged..=acknowledged + 1).contains(&kept), "{acknowledged} acknowledged, {kept} kept");
    drop(shop);
    cluster.stop("immediate");
}

// No room ----------------------------------------------------------------------------------------------------------

#[test]
fn an_orchestrator_without_a_process_is_told_of_and_starts_when_there_is_room() {
    let cluster = Cluster::start("workers", &["max_worker_processes=2", "max_logical_replication_workers=0"]);
    // The launcher and the first orchestrator are all that there is room for.
    let mut first = shop(&cluster, "first");
    let mut second = cluster.create("second");
    second.register(&two_steps("shop"));
    second.request("shop", "two");
    eventually("the log said so", || {
        cluster.log().contains("tasker has no background worker left for an orchestrator")
    });
    assert!(cluster.log().contains("Increase max_worker_processes"));
    let stands = "select situation, advice is not null from tasker.orchestrator_status";
    assert_eq!(second.value(stands), "not running|t");
    first.request("shop", "two");
    finishes(&mut first);
    drop(first);
    cluster.connect("postgres").run("drop database first");
    second.is_served();
    finishes(&mut second);
    assert_eq!(cluster.log().matches("tasker has no background worker left").count(), 1, "once is enough");
}

#[test]
fn the_engine_needs_no_connection_of_the_clients() {
    let cluster = Cluster::start("connections", &["max_connections=6", "superuser_reserved_connections=1"]);
    let mut shop = shop(&cluster, "shop");
    let mut others = Vec::new();
    let refused = loop {
        match cluster.try_connect("shop") {
            Ok(other) => others.push(other),
            Err(error) => break error,
        }
    };
    assert_eq!(refused.code().map(|code| code.code()), Some("53300"), "{refused:?}");
    let before = shop.orchestrator();
    shop.run(&format!("select pg_terminate_backend({before})"));
    shop.eventually(&format!("select pid <> {before} and situation = 'running' from tasker.orchestrator_status"));
    shop.request("shop", "two");
    finishes(&mut shop);
}

// Databases --------------------------------------------------------------------------------------------------------

#[test]
fn a_database_that_is_dropped_by_force_under_load_harms_no_other() {
    let cluster = Cluster::start("force", &[]);
    let mut other = shop(&cluster, "other");
    for round in 0..3 {
        let name = format!("gone_{round}");
        let mut gone = shop(&cluster, &name);
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            let (cluster, over, name) = (&cluster, &over, &name);
            for what in [0, 1, 2, 3] {
                scope.spawn(move || busy_until_down(cluster, name, what, over));
            }
            gone.eventually("select count(*) > 20 from tasker.tasks where finished_at is not null");
            cluster.connect("postgres").run(&format!("drop database {name} with (force)"));
            over.store(true, Ordering::Relaxed);
        });
        other.request("shop", "two");
        finishes(&mut other);
    }
    assert!(!cluster.log().contains("was terminated by signal") && !cluster.log().contains("PANIC"));
}

// Clocks -----------------------------------------------------------------------------------------------------------

#[test]
fn a_clock_that_jumps_delays_what_is_timed_and_nothing_else() {
    let cluster = Cluster::start("clock", &[]);
    let mut shop = shop(&cluster, "shop");
    let jump = |to: &str| cluster.set("tasker.fake_now", to);
    let waits = "select count(*) = 1 from tasker.steps where state = 'waiting_for_retry'";
    let fail = "select tasker.fail_step(step_id, attempt, '{\"message\": \"no\"}') from tasker.poll_steps('shop', 1)";

    jump("2040-01-01 00:00:00+00");
    shop.request("shop", "two");
    shop.eventually("select count(*) = 1 from pgmq.q_shop_queue");
    shop.run("set tasker.fake_now = '2040-01-01 00:00:00+00'");
    shop.run(fail);
    shop.eventually(waits);
    // Back by ten years: what was timed before waits, what is new goes on.
    jump("2030-01-01 00:00:00+00");
    shop.run("set tasker.fake_now = '2030-01-01 00:00:00+00'");
    shop.request("shop", "two");
    eventually("the new task was over", || {
        play::work_off(&mut shop, "shop");
        shop.holds("select count(*) = 1 from tasker.tasks where state = 'complete'")
    });
    assert!(shop.holds(waits));
    assert!(shop.rows("select * from tasker.check()").is_empty());
    // Forward by twenty: every lease is over, and is tried again.
    shop.request("shop", "two");
    shop.eventually("select count(*) = 1 from pgmq.q_shop_queue");
    shop.run("select count(*) from tasker.poll_steps('shop', 1)");
    jump("2050-01-01 00:00:00+00");
    shop.run("set tasker.fake_now = '2050-01-01 00:00:00+00'");
    shop.eventually("select count(*) = 1 from tasker.step_transitions where metadata::text like '%attempt_lost%'");
    jump("2050-01-01 01:00:00+00");
    finishes(&mut shop);
    assert_eq!(shop.value("select count(*), count(finished_at) from tasker.tasks"), "3|3");
}

// What the operations guide says ---------------------------------------------------------------------------------

/// The query below "-- alerts" in docs/operations.md.
fn alert_query() -> String {
    let guide = fs::read_to_string(project("docs/operations.md")).unwrap();
    let (_, query) = guide.split_once("-- alerts\n").expect("there is a query");
    query.split_once(";\n```").unwrap().0.to_string()
}

#[test]
fn the_alert_query_of_the_guide_is_silent_until_something_is_wrong() {
    let cluster = Cluster::start("alerts", &[]);
    let mut shop = shop(&cluster, "shop");
    let query = alert_query();
    shop.run("create role watcher login; grant tasker_monitor to watcher");
    let [host, port] = cluster.address();
    let mut watcher = Database::connect(host, port, "watcher", "shop").unwrap();
    shop.request("shop", "two");
    finishes(&mut shop);
    assert!(watcher.rows(&query).is_empty(), "{:?}", watcher.rows(&query));

    let subjects =
        |watcher: &mut Database| watcher.rows(&format!("select distinct subject from ({query}) a order by 1"));
    shop.run("select pgmq.send('orchestration_step_results', '{\"nonsense\": true}')");
    shop.eventually("select count(*) = 1 from tasker.rejected_messages");
    shop.run("select pgmq.drop_queue('shop_queue')");
    assert_eq!(subjects(&mut watcher), ["queue shop_queue", "rejected messages"]);
    cluster.set("tasker.enabled", "off");
    shop.eventually("select situation = 'switched off' from tasker.orchestrator_status");
    assert_eq!(subjects(&mut watcher), ["engine", "queue shop_queue", "rejected messages"]);
}

/// What a monitor sees of those who hold back vacuum.
const HOLDERS: &str =
    "select kind, holder, role, application_name, state, age_in_transactions > 0, advice from tasker.oldest_snapshots";

#[test]
fn who_holds_an_old_snapshot_is_named_to_a_monitor_too() {
    let cluster = Cluster::start("snapshots", &["tasker.enabled=off", "max_prepared_transactions=2", "autovacuum=off"]);
    let (mut shop, mut elsewhere) = (cluster.create("shop"), cluster.create("elsewhere"));
    shop.register(&two_steps("shop"));
    let (mut reader, mut writer) = (cluster.connect("shop"), cluster.connect("shop"));
    elsewhere.run("begin isolation level repeatable read; select 1");
    reader.run("set application_name = 'report'");
    reader.run("begin isolation level repeatable read; select 1");
    shop.request("shop", "two");
    writer.run("begin; create table other_work ()");
    writer.run("prepare transaction 'left behind'");
    shop.request("shop", "two");
    shop.run("set role tasker_monitor");
    let pid = reader.value("select pg_backend_pid()");
    let session = format!(
        "session|{pid}|postgres|report|idle in transaction|t|SELECT pg_terminate_backend({pid}), and set idle_in_transaction_session_timeout."
    );
    let prepared = "prepared transaction|left behind|postgres|||t|COMMIT PREPARED 'left behind' or ROLLBACK PREPARED 'left behind'.";
    assert_eq!(shop.rows(HOLDERS), [session.as_str(), prepared]);
    reader.run("rollback");
    writer.run("rollback prepared 'left behind'");
    assert_eq!(shop.rows(HOLDERS), [""; 0]);
    // One who writes holds back as much, with no snapshot between its statements.
    writer.run("begin; create table other_work ()");
    shop.run("reset role");
    shop.request("shop", "two");
    assert_eq!(shop.value("select kind, age_in_transactions > 0 from tasker.oldest_snapshots"), "session|t");
    writer.run("rollback");
}
