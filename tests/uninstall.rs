//! `uninstall()` takes away everything that DROP EXTENSION leaves, as far as nobody else needs it.

use std::thread;

mod common;
use common::{Cluster, Database, play, two_steps};

fn count(database: &mut Database, what: &str) -> i64 {
    database.number(&format!("select count(*) from {what}"))
}

const ROLES: &str = "pg_roles where rolname like 'tasker\\_%'";
const QUEUES: &str = "pg_class where relnamespace = 'pgmq'::regnamespace and relkind = 'r' and relname like 'q\\_%'";

/// Registers, requests and works off one task.
fn works(shop: &mut Database) {
    shop.register(&two_steps("shop"));
    let task = shop.request("shop", "two");
    play::work_until_over(shop, "shop");
    assert_eq!(shop.value(&format!("select state from tasker.tasks where task_id = {task}")), "complete");
}

/// What was kept, with the reason.
fn uninstall(database: &mut Database, force: bool) -> Vec<String> {
    database.rows(&format!("select object, detail from tasker.uninstall({force}) where outcome = 'kept'"))
}

#[test]
fn it_takes_everything_away_and_leaves_what_others_need() {
    let cluster = Cluster::start("uninstalled", &[]);
    let (mut shop, mut other) = (cluster.create("shop"), cluster.create("other"));
    works(&mut shop);
    works(&mut other);
    shop.run("create role shop_worker; select tasker.grant_worker('shop_worker', 'shop', plain => true)");
    shop.run("select pgmq.create('mine'); select pgmq.send('mine', '{}')");
    shop.request("shop", "two");

    let refused = shop.error("select * from tasker.uninstall()");
    assert_eq!((refused.code().code(), refused.message()), ("55006", "1 tasks are unfinished"));
    assert_eq!(count(&mut shop, "tasker.tasks"), 2);

    // Somebody else's object stands on the extension: nothing happens.
    shop.run("create view mine as select count(*) from tasker.task_status");
    assert_eq!(shop.error("select * from tasker.uninstall(force => true)").code().code(), "2BP01");
    assert_eq!(count(&mut shop, "tasker.tasks"), 2);
    shop.run("drop view mine");

    // The roles are those of the other database too, which goes on.
    let kept = uninstall(&mut shop, true);
    assert_eq!(kept.len(), 6, "{kept:#?}");
    assert!(kept.iter().all(|role| role.starts_with("role tasker_") && role.contains("database other")), "{kept:#?}");
    assert_eq!(shop.value("select queue_name from pgmq.meta"), "mine");
    assert_eq!(count(&mut shop, QUEUES), 1);
    assert_eq!(count(&mut shop, "pg_namespace where nspname = 'tasker'"), 0);
    assert_eq!(count(&mut shop, "pg_extension where extname = 'tasker_pg'"), 0);
    shop.run("drop role shop_worker");
    works(&mut other);

    // A right of one's own on a role of ours is not taken away silently.
    other.run("create table mine (id integer); grant select on mine to tasker_monitor");
    let kept = uninstall(&mut other, false);
    assert_eq!(kept, ["role tasker_monitor|privileges for table public.mine"]);
    assert_eq!(count(&mut other, ROLES), 1);

    // From nothing, all begins anew.
    for database in [&mut shop, &mut other] {
        database.run("set client_min_messages = warning; create extension tasker_pg cascade");
        works(database);
    }
    assert_eq!(count(&mut other, ROLES), 6);
    assert_eq!(uninstall(&mut shop, false).len(), 6);
    other.run("drop table mine");
    assert_eq!(uninstall(&mut other, false), [""; 0]);
    assert_eq!(count(&mut other, ROLES), 0);
}

#[test]
fn it_waits_for_an_open_request_and_keeps_its_task() {
    let cluster = Cluster::start("uninstalled_in_vain", &[]);
    let (mut shop, mut requester, mut watcher) =
        (cluster.create("shop"), cluster.connect("shop"), cluster.connect("shop"));
    shop.register(&two_steps("shop"));
    requester.run("begin");
    requester.request("shop", "two");
    thread::scope(|threads| {
        let refused = threads.spawn(|| shop.error("select * from tasker.uninstall()"));
        watcher.eventually("select count(*) > 0 from pg_locks where not granted");
        requester.run("commit");
        assert_eq!(refused.join().unwrap().code().code(), "55006");
    });
    assert_eq!(count(&mut shop, "tasker.tasks"), 1);
}

#[test]
fn it_can_be_called_under_load_again_and_again() {
    let cluster = Cluster::start("uninstalled_busy", &[]);
    let mut shop = cluster.create("shop");
    for _ in 0..3 {
        shop.register(&two_steps("shop"));
        play::under_load(&cluster, &mut shop, |shop| assert_eq!(uninstall(shop, true), [""; 0]));
        assert_eq!(count(&mut shop, QUEUES), 0);
        shop.run("create extension tasker_pg");
    }
    works(&mut shop);
    assert!(!cluster.log().contains("deadlock detected"), "a deadlock in the log");
}
