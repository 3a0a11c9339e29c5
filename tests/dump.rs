//! A dump taken in the middle of a run holds everything, and the run can be finished where it was restored.

use std::fs;
use std::path::Path;

mod common;
use common::{Cluster, Database, environment, eventually, newer_server, output, play, server_program, skip, two_steps};

/// Every table with its number of rows and a sum over them, and where every sequence stands.
fn contents(database: &mut Database) -> Vec<String> {
    let tables = database.rows(
        "select format('%I.%I', n.nspname, c.relname) from pg_class c join pg_namespace n on n.oid = c.relnamespace
         where c.relkind = 'r' and (n.nspname = 'tasker' or n.nspname = 'pgmq' and c.relname ~ '^[qa]_')
         order by 1",
    );
    let mut contents: Vec<_> = tables.iter().map(|table| format!("{table}: {}", checksum(database, table))).collect();
    contents.extend(database.rows(
        "select s.schemaname, s.sequencename, s.last_value from pg_sequences s
         where s.schemaname in ('tasker', 'pgmq') order by 1, 2",
    ));
    contents
}

fn checksum(database: &mut Database, table: &str) -> String {
    database.value(&format!("select count(*), md5(string_agg(t::text, e'\\n' order by t::text)) from {table} t"))
}

/// A database in which some tasks are over, some in progress and some not started, and others failed or wait.
fn in_the_middle(cluster: &Cluster) -> Database {
    let mut shop = cluster.create("shop");
    shop.register(&two_steps("shop"));
    shop.run("create role dashboard; grant select on tasker.task_status to dashboard");
    shop.run("select tasker.set_namespace_limit('shop', 10)");
    shop.run("create role shop_worker");
    shop.run("select tasker.grant_worker('shop_worker', 'shop')");
    shop.run("select tasker.create_namespace('other')");
    shop.run("select count(tasker.request_task('shop', 'two')) from generate_series(1, 50)");
    shop.run(
        "select tasker.request_task('shop', 'two', run_at => clock_timestamp() + '2 s', idempotency_key => 'later')",
    );
    shop.run("select pgmq.send('orchestration_task_requests', '{\"nonsense\": true}')");
    eventually("some tasks were over", || {
        shop.run(
            "select pgmq.send('orchestration_step_results',
               jsonb_build_object('step_id', step_id, 'attempt', attempt, 'status', 'failure'))
             from tasker.poll_steps('shop', 1)",
        );
        play::work_off(&mut shop, "shop");
        shop.holds("select count(*) > 5 from tasker.tasks where state = 'complete'")
    });
    shop
}

fn restore(dump: &Path, cluster: &Cluster, database: &str) {
    let mut psql = cluster.command(server_program("psql"), database);
    output(psql.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-f"]).arg(dump));
}

fn dump(cluster: &Cluster, to: &Path) {
    output(cluster.command(server_program("pg_dump"), "shop").arg("-f").arg(to));
}

#[test]
fn a_dump_in_the_middle_of_a_run_is_finished_elsewhere_after_take_over() {
    let cluster = Cluster::start("dumped", &[]);
    let mut original = in_the_middle(&cluster);
    let file = Path::new(&environment("TASKER_CLUSTERS")).join("dumped.sql");
    // While it runs; what is compared below is a second dump, of the engine at rest.
    dump(&cluster, &file);
    cluster.create_empty("running");
    restore(&file, &cluster, "running");
    assert!(cluster.connect("running").rows("select * from tasker.check()").is_empty());

    rest(&cluster, &mut original);
    dump(&cluster, &file);
    finishes_elsewhere(&mut original, &file, &Cluster::start("restored", &[]));
}

#[test]
fn a_dump_is_finished_by_a_newer_server() {
    let Some(newer) = newer_server() else {
        return skip("dump into a newer server: there is none with this extension; make install PG=18 makes one");
    };
    let cluster = Cluster::start("dumped_for_newer", &[]);
    let mut original = in_the_middle(&cluster);
    let file = Path::new(&environment("TASKER_CLUSTERS")).join("dumped_for_newer.sql");
    rest(&cluster, &mut original);
    dump(&cluster, &file);
    finishes_elsewhere(&mut original, &file, &Cluster::start_with(newer, "restored_in_newer", &[]));
}

fn rest(cluster: &Cluster, original: &mut Database) {
    cluster.set("tasker.enabled", "off");
    original.eventually("select situation = 'switched off' and state = 'disabled' from tasker.orchestrator_status");
}

fn finishes_elsewhere(original: &mut Database, dump: &Path, other: &Cluster) {
    // Roles belong to the cluster: those of the extension come with it, others are made beforehand.
    let mut restored = other.create_empty("shop");
    restored.run("create role dashboard; create role shop_worker");
    restore(dump, other, "shop");
    let expected = contents(original);
    assert!(expected.iter().any(|table| table.starts_with("tasker.rejected_messages: 1|")), "{expected:#?}");
    assert_eq!(contents(&mut restored), expected);
    assert!(restored.holds("select has_table_privilege('dashboard', 'tasker.task_status', 'select')"));
    assert!(restored.holds(
        "select has_column_privilege('tasker_worker', 'pgmq.q_orchestration_step_results', 'message', 'insert')"
    ));
    assert!(restored.holds("select not has_table_privilege('tasker_worker', 'tasker.steps', 'select')"));
    stays_idle(&mut restored, &expected);

    restored.run("select tasker.take_over()");
    let last = original.number("select max(task_id) from tasker.tasks");
    let next = restored.request("shop", "two");
    assert_eq!(next, last + 1);
    let same = "select tasker.request_task('shop', 'two', idempotency_key => 'later')";
    assert_eq!(restored.value(same), original.value(same), "the key is known");
    play::work_until_over(&mut restored, "shop");
    finished(&mut restored, 52);
    limited_as_before(&mut restored);
    fs::remove_file(dump).unwrap();
}

/// It must touch nothing before someone says that this is the original now.
fn stays_idle(restored: &mut Database, expected: &[String]) {
    restored.eventually("select situation = 'copy' and state = 'copy' from tasker.orchestrator_status");
    assert_eq!(restored.value("select accepted + settled + fired + started + enqueued from tasker.orchestrate()"), "0");
    assert_eq!(contents(restored), expected);
}

/// A role keeps its namespaces. Where the dump was restored it may have another number.
fn limited_as_before(restored: &mut Database) {
    restored.run("set role shop_worker");
    assert_eq!(restored.value("select count(*) from tasker.poll_steps('shop')"), "0");
    assert_eq!(restored.error("select count(*) from tasker.poll_steps('other')").code().code(), "42501");
    restored.run("reset role");
}

fn finished(shop: &mut Database, tasks: i64) {
    assert_eq!(shop.rows("select state, count(*) from tasker.tasks group by state"), [format!("complete|{tasks}")]);
    assert!(shop.rows("select * from tasker.check()").is_empty());
    // The wakes were restored, too.
    assert_eq!(shop.value("select count(*) from pg_trigger where tgname = 'tasker_wake'"), "2");
}
