//! A streaming standby runs nothing, says nothing and answers every question; promoted, it goes on by itself, with all
//! that was acknowledged. A physical copy cannot be told from its original, and obeys the setting that keeps it still.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

mod common;
use common::{A_MOMENT, Cluster, Database, eventually, play, tell, two_steps};

fn shop(cluster: &Cluster) -> Database {
    let mut shop = cluster.create("shop");
    shop.register(&two_steps("shop"));
    shop.run("create table ledger (step_id bigint, attempt integer)");
    shop.is_served();
    shop
}

/// Waits until the standby has all that the primary has.
fn catches_up(primary: &mut Database, standby: &mut Database) {
    let position = primary.value("select pg_current_wal_insert_lsn()");
    standby.eventually(&format!("select pg_last_wal_replay_lsn() >= '{position}'::pg_lsn"));
}

#[test]
fn a_standby_runs_nothing_says_nothing_and_answers() {
    let primary = Cluster::start("primary", &[]);
    let mut shop = shop(&primary);
    let standby = Cluster::start_copy(&primary, "standby", true, &[]);
    shop.run("select count(tasker.request_task('shop', 'two')) from generate_series(1, 20)");
    shop.eventually("select count(*) = 20 from pgmq.q_shop_queue");
    play::work_off(&mut shop, "shop");
    shop.eventually("select count(*) = 20 from tasker.steps where state = 'complete'");
    let mut copy = standby.connect("shop");
    catches_up(&mut shop, &mut copy);

    let views =
        copy.rows("select format('%I.%I', schemaname, viewname) from pg_views where schemaname = 'tasker' order by 1");
    assert!(views.len() > 10, "{views:?}");
    let timeless = |database: &mut Database, view: &str| database.value(&format!("select count(*) from {view}"));
    for view in &views {
        assert_eq!(timeless(&mut copy, view), timeless(&mut shop, view), "{view}");
    }
    for question in [
        "select total_steps, completed_steps from tasker.get_task_execution_context(1)",
        "select name, current_state from tasker.get_step_readiness_status(1)",
        "select count(*) from tasker.get_viable_steps(1)",
        "select * from tasker.calculate_dependency_levels(1)",
        "select count(*) > 0 from tasker.get_analytics_metrics()",
        "select count(*) > 0 from tasker.get_system_health_counts()",
        "select count(*) from tasker.get_slowest_steps()",
        "select count(*) from tasker.get_slowest_tasks()",
        "select tasker.task_graph(1)",
        "select count(*) from tasker.find_tasks(namespace => 'shop')",
        "select tasker.task_results(1)",
        "select tasker.dependency_results(65538)",
        "select * from tasker.check()",
    ] {
        assert_eq!(copy.rows(question), shop.rows(question), "{question}");
    }
    assert_eq!(copy.value("select situation, pid is null from tasker.orchestrator_status"), "standby|t");
    assert_eq!(copy.rows("select fact from tasker.explain_task(1) where subject like 'engine %'"), ["standby"]);
    thread::sleep(A_MOMENT);
    assert!(copy.rows("select backend_type from pg_stat_activity where backend_type like 'tasker%'").is_empty());
    let log = standby.log();
    let (_, since) = log.rsplit_once("entering standby mode").unwrap();
    let noise: Vec<_> = since.lines().filter(|line| line.contains("tasker")).collect();
    assert!(noise.is_empty(), "{noise:#?}");
    // Clients are told by the server.
    let result = r#"array['{"step_id": 65537, "attempt": 1, "status": "success"}'::jsonb]"#;
    let calls = [
        "tasker.request_task('shop', 'two')",
        "tasker.poll_steps('shop')",
        "tasker.orchestrate()",
        &format!("tasker.complete_steps({result})"),
        &format!("tasker.complete_steps({result}, advance => true)"),
        &format!("tasker.exchange_steps('shop', {result})"),
    ];
    for call in calls {
        let error = copy.error(&format!("select * from {call}"));
        assert_eq!(error.code().code(), "25006", "{call}: {error:?}");
    }
    assert!(!standby.log().contains("repeated in isolation"), "a pass takes it for its own fault");
}

/// Who is primary now, and what clients were told.
struct Failover<'a> {
    primary: Mutex<&'a Cluster>,
    over: AtomicBool,
    acknowledged: Mutex<BTreeSet<String>>,
}

impl Failover<'_> {
    fn connect(&self) -> Option<Database> {
        let primary = *self.primary.lock().unwrap_or_else(PoisonError::into_inner);
        primary.try_connect("shop").ok()
    }

    /// Works with whoever is primary until it is over; after an error with a new connection.
    fn keeps(&self, mut work: impl FnMut(&mut Database) -> Result<(), postgres::Error>) {
        while !self.over.load(Ordering::Relaxed) {
            if let Some(mut shop) = self.connect() {
                while work(&mut shop).is_ok() && !self.over.load(Ordering::Relaxed) {}
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn requests(&self, who: usize) {
        let mut next = 0;
        self.keeps(|shop| {
            let key = format!("{who}-{next}");
            shop.try_rows(&format!("select tasker.request_task('shop', 'two', idempotency_key => '{key}')"))?;
            self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner).insert(key);
            next += 1;
            thread::sleep(Duration::from_millis(2));
            Ok(())
        });
    }
}

/// Writes to a table of its own in the transaction that completes the step.
fn work_with_ledger(shop: &mut Database) -> Result<(), postgres::Error> {
    for row in shop.try_rows("select step_id, attempt from tasker.poll_steps('shop', 5, max_wait => '20 ms')")? {
        let (step_id, attempt) = row.split_once('|').unwrap();
        shop.try_rows(&format!(
            "begin;
             insert into ledger values ({step_id}, {attempt});
             select tasker.complete_step({step_id}, {attempt}, '{{\"by\": \"ledger\"}}');
             commit"
        ))?;
    }
    Ok(())
}

#[test]
fn a_standby_that_is_promoted_under_load_goes_on_with_all_that_was_acknowledged() {
    let primary = Cluster::start("failing", &["tasker.step_timeout=5s"]);
    let mut before = shop(&primary);
    let standby = Cluster::start_copy(&primary, "promoted", true, &["tasker.step_timeout=5s"]);
    primary.set("synchronous_standby_names", "promoted");
    before.eventually("select exists (select from pg_stat_replication where sync_state = 'sync')");

    let failover =
        Failover { primary: Mutex::new(&primary), over: AtomicBool::new(false), acknowledged: Mutex::default() };
    thread::scope(|scope| {
        for who in 0..2 {
            let failover = &failover;
            scope.spawn(move || failover.requests(who));
        }
        scope.spawn(|| failover.keeps(|shop| play::try_work_off(shop, "shop").map(drop)));
        scope.spawn(|| failover.keeps(work_with_ledger));
        before.eventually("select count(*) > 100 from tasker.tasks where finished_at is not null");

        primary.stop("immediate");
        let mut after = standby.connect("shop");
        let start = Instant::now();
        after.run("select pg_promote()");
        let promoted = start.elapsed();
        after.eventually(
            "select coalesce(bool_and(situation = 'running' and passes > 0), false) from tasker.orchestrator_status",
        );
        tell(&format!("promoted in {promoted:?}, first pass after {:?}", start.elapsed() - promoted));
        *failover.primary.lock().unwrap() = &standby;
        let finished = after.number("select count(*) from tasker.tasks where finished_at is not null");
        after
            .eventually(&format!("select count(*) > {finished} + 100 from tasker.tasks where finished_at is not null"));
        failover.over.store(true, Ordering::Relaxed);
    });

    let mut after = standby.connect("shop");
    eventually("every task was over", || {
        work_with_ledger(&mut after).unwrap();
        after.holds("select count(*) = 0 from tasker.tasks where finished_at is null")
    });
    assert!(after.leftovers().is_empty(), "{:?}", after.leftovers());
    let kept: BTreeSet<_> =
        after.rows("select regexp_replace(identity_key, '^.*/', '') from tasker.tasks").into_iter().collect();
    let acknowledged = failover.acknowledged.into_inner().unwrap();
    println!("{} requests were acknowledged", acknowledged.len());
    let lost: Vec<_> = acknowledged.difference(&kept).collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    assert_eq!(after.number("select count(*) from tasker.tasks"), kept.len() as i64);
    let twice =
        "select step_id from tasker.step_transitions where to_state = 'complete' group by 1 having count(*) > 1";
    assert!(after.rows(twice).is_empty());
    let done = "select step_id, attempts from tasker.steps where results ->> 'by' = 'ledger'";
    assert!(after.rows(&format!("(select * from ledger) except all ({done})")).is_empty());
    assert!(after.rows(&format!("({done}) except all (select * from ledger)")).is_empty());
}

#[test]
fn a_physical_copy_stays_still_where_the_engine_is_switched_off() {
    let original = Cluster::start("cloned", &[]);
    let mut shop = shop(&original);
    shop.request("shop", "two");
    shop.eventually("select count(*) = 1 from pgmq.q_shop_queue");
    let clone = Cluster::start_copy(&original, "clone", false, &["tasker.enabled=off"]);
    let mut copy = clone.connect("shop");
    copy.eventually("select situation = 'switched off' and state = 'disabled' from tasker.orchestrator_status");
    assert_eq!(copy.value("select identity from tasker.orchestrator_status"), "ours", "it cannot be told apart");
    copy.request("shop", "two");
    thread::sleep(A_MOMENT);
    assert_eq!(copy.rows("select state from tasker.tasks order by 1"), ["in_progress", "pending"]);
    assert_eq!(copy.passes(), 0);
    play::work_until_over(&mut shop, "shop");
}
