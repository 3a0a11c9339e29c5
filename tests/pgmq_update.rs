//! pgmq may be updated under a running engine: from the oldest that the tests know to the newest.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

mod common;
use common::{Cluster, play, skip, two_steps};

const OLDEST: &str = "1.11.0";
const NEWEST: &str = "1.13.0";

#[test]
fn pgmq_is_updated_while_workers_and_orchestrator_go_on() {
    let cluster = Cluster::start("pgmq_update", &[]);
    let mut shop = cluster.create_empty("shop");
    let way = format!(
        "select count(*) > 0 from pg_extension_update_paths('pgmq')
         where source = '{OLDEST}' and target = '{NEWEST}' and path is not null"
    );
    if !shop.holds(&way) {
        return skip(&format!("update of pgmq: this server's pgmq has no way from {OLDEST} to {NEWEST}"));
    }
    shop.run(&format!("create extension pgmq version '{OLDEST}'; create extension tasker_pg"));
    shop.register(&two_steps("shop"));
    let over = AtomicBool::new(false);
    thread::scope(|threads| {
        threads.spawn(|| {
            let mut worker = cluster.connect("shop");
            while !over.load(Ordering::Relaxed) {
                worker.run("select tasker.request_task('shop', 'two')");
                // A deadlock with the update is its cost, not a loss: who repeats is right.
                if let Err(error) = play::try_work_off(&mut worker, "shop") {
                    assert_eq!(error.code().map(|code| code.code()), Some("40P01"), "{error}");
                }
            }
        });
        shop.eventually("select count(*) > 20 from tasker.tasks where state = 'complete'");
        shop.run(&format!("alter extension pgmq update to '{NEWEST}'"));
        let before = shop.number("select count(*) from tasker.tasks where state = 'complete'");
        shop.eventually(&format!("select count(*) > {before} + 20 from tasker.tasks where state = 'complete'"));
        over.store(true, Ordering::Relaxed);
    });
    assert_eq!(shop.value("select extversion from pg_extension where extname = 'pgmq'"), NEWEST);
    play::work_until_over(&mut shop, "shop");
    assert_eq!(shop.rows("select distinct state from tasker.tasks"), ["complete"]);
    assert!(shop.leftovers().is_empty(), "{:?}", shop.leftovers());
}
