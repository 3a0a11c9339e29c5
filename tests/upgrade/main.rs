//! From every release to this version: an updated database is what a fresh one is, this library works with the SQL of the
//! release, and an update in the middle of a run loses nothing.
//!
//! `sql/releases/` holds what the releases installed; `scripts/update-script` makes the way to this version.

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::{Value, json};

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
    let mut fresh = CLUSTER.create("fresh_in_use");
    for template in templates() {
        fresh.register(&template);
    }
    fresh.is_served();
    let fresh = catalog(&mut fresh);
    assert!(fresh.iter().any(|line| line.starts_with("queue pgmq.q_shop_events")), "{fresh:#?}");
    for release in releases() {
        let mut updated = of_release("in_use", &release);
        for template in templates() {
            updated.register(&template);
        }
        updated.request("shop", "two");
        play::work_until_over(&mut updated, "shop");
        update(&mut updated);
        updated.is_served();
        assert_same(&release, &catalog(&mut updated), &fresh);
    }
}

/// A preloaded library stays until a restart, whatever the package has put into its place.
#[test]
fn an_update_with_another_library_is_refused_and_says_what_to_do() {
    let check = include_str!("../../sql/updates/library.sql").replace("@VERSION@", VERSION);
    let mut shop = CLUSTER.create("library");
    shop.run(&check.replace("MODULE_PATHNAME", "$libdir/tasker_pg"));
    let newer = check.replace(VERSION, "9.0.0").replace("MODULE_PATHNAME", "$libdir/tasker_pg");
    // Any library without that function.
    let older = check.replace("tasker.", "public.").replace("MODULE_PATHNAME", "$libdir/plpgsql");
    for (check, loaded) in [(newer, format!("of version {VERSION}")), (older, "older than".to_string())] {
        let error = shop.error(&check);
        assert_eq!(error.code().code(), "55000", "{error:?}");
        assert!(error.detail().is_some_and(|detail| detail.contains(&loaded)), "{error:?}");
        assert!(error.hint().is_some_and(|hint| hint.contains("restart the server")), "{error:?}");
    }
    assert!(shop.holds("select not exists (select from pg_proc where proname = '_library_version' and pronamespace = 'public'::regnamespace)"));
}

/// Whoever starts after an update is of the new version: queues, triggers and rights are made by it.
#[test]
fn orchestrators_begin_anew_with_an_update() {
    for release in releases() {
        let mut shop = of_release("anew", &release);
        shop.register(&two_steps("shop"));
        shop.is_served();
        let before = shop.orchestrator();
        shop.run("drop trigger tasker_wake on pgmq.q_orchestration_step_results");
        update(&mut shop);
        shop.is_served();
        assert_ne!(shop.orchestrator(), before);
        assert!(shop.holds("select count(*) = 2 from pg_trigger where tgname = 'tasker_wake'"));
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

/// One of each kind, in shop and, of what waits there while it is paused, in calm.
fn templates() -> Vec<Value> {
    let wide: Vec<String> = (0..20).map(|n| format!("wide_{n}")).collect();
    let mut fan: Vec<(&str, &[&str])> = vec![("open", &[])];
    fan.extend(wide.iter().map(|name| (name.as_str(), &["open"] as &[&str])));
    let parents: Vec<&str> = wide.iter().map(String::as_str).collect();
    fan.push(("close", &parents));
    let mut loud = two_steps("shop");
    loud["name"] = json!("loud");
    loud["events"] = json!({"task": ["completed"], "step": ["completed"]});
    loud["lifecycle"] = json!({"max_duration_minutes": 60});
    let mut strict = two_steps("calm");
    strict["name"] = json!("strict");
    strict["identity_strategy"] = json!("strict");
    strict["steps"][1]["handler"] = json!({"callable": "Close", "initialization": {"\"\u{e9}\" %s": [1.50, null]}});
    strict["limits"] = json!({"max_in_flight": 1});
    vec![
        two_steps("shop"),
        template("shop", "diamond", &[("a", &[]), ("b", &["a"]), ("c", &["a"]), ("d", &["b", "c"])]),
        template("shop", "fan", &fan),
        loud,
        two_steps("calm"),
        strict,
    ]
}

/// What others have in their hands while the update runs: step ids with attempts, task ids.
struct Held {
    by_plain_workers: Vec<String>,
    by_function_workers: Vec<String>,
    claimed: Vec<String>,
    strict: i64,
}

const ASK_STRICT: &str = "select tasker.request_task('calm', 'strict', '{\"same\": 1}')";
/// All tasks that there are.
const TASKS: i64 = 40 + 20 + 1 + 2 + 3 + 5 + 1;

/// A database of a release in which tasks are over, in progress, not started, delayed, failed, claimed outside, paused;
/// steps are in the queue, at workers of both kinds, with an extended lease, reported, waiting for a retry, waiting for
/// room; and messages were rejected.
fn in_the_middle(purpose: &str, release: &str) -> (Database, Held) {
    let mut shop = of_release(purpose, release);
    shop.run("select tasker.create_namespace('shop', max_in_flight => 10)");
    for template in templates() {
        shop.register(&template);
    }
    shop.run("select tasker.pause_namespace('calm')");
    shop.run("select count(tasker.request_task('calm', 'two')) from generate_series(1, 5)");
    let strict = shop.number(ASK_STRICT);
    shop.run("select count(tasker.request_task('shop', 'two', '{\"n\": 1}', tags => array['many'])) from generate_series(1, 40)");
    shop.run("select count(tasker.request_task('shop', 'diamond')) from generate_series(1, 20)");
    shop.run("select count(tasker.request_task('shop', 'fan', priority => 4)) from generate_series(1, 2)");
    shop.run("select count(tasker.request_task('shop', 'loud', priority => 4)) from generate_series(1, 3)");
    shop.run(
        "select tasker.request_task('shop', 'two', run_at => clock_timestamp() + '2 s', idempotency_key => 'later')",
    );
    shop.run("select pgmq.send('orchestration_task_requests', '{\"nonsense\": true}')");
    let claimed = some(&mut shop, "select task_id from tasker.claim_ready_tasks('outside', 2, 'shop')");
    eventually("some tasks were over", || {
        shop.run(
            "select pgmq.send('orchestration_step_results', jsonb_build_object('step_id', step_id, 'attempt', attempt,
               'status', 'failure', 'error', jsonb_build_object('retryable', task_id % 4 > 0)))
             from tasker.poll_steps('shop', 2, step_names => array['first', 'a', 'b'])",
        );
        play::work_off(&mut shop, "shop");
        shop.holds("select count(*) > 5 from tasker.tasks where state = 'complete'")
            && shop.holds("select exists (select from tasker.dead_letters)")
    });
    let by_function_workers = some(&mut shop, "select step_id, attempt from tasker.poll_steps('shop', 3)");
    shop.run(&format!("select tasker.extend_step({}, '1 hour')", arguments(&by_function_workers[0])));
    let by_plain_workers =
        some(&mut shop, "select message ->> 'step_id', message ->> 'attempt' from pgmq.pop('shop_queue', 2)");
    shop.eventually("select exists (select from tasker.rejected_messages)");
    (shop, Held { by_plain_workers, by_function_workers, claimed, strict })
}

/// Asks until there is something.
fn some(shop: &mut Database, sql: &str) -> Vec<String> {
    let mut found = Vec::new();
    eventually(sql, || {
        found = shop.rows(sql);
        !found.is_empty()
    });
    found
}

/// A row as arguments of a call.
fn arguments(row: &str) -> String {
    row.replace('|', ", ")
}

/// What others hold goes on, the rest is done, and nothing is missing.
fn finishes(shop: &mut Database, held: &Held) {
    for step in &held.by_function_workers {
        shop.run(&format!("select tasker.complete_step({})", arguments(step)));
    }
    for step in &held.by_plain_workers {
        shop.run(&format!(
            "select pgmq.send('orchestration_step_results', (select jsonb_build_object('step_id', s, 'attempt', a,
               'status', 'success') from (values ({})) v(s, a)))",
            arguments(step)
        ));
    }
    for task in &held.claimed {
        assert!(shop.holds(&format!("select tasker.release_task_claim({task}, 'outside')")));
    }
    // What those before them took and nobody reports.
    shop.run(
        "select tasker.release_steps(array_agg(s.step_id), array_agg(s.attempts)) from tasker.steps s
         where s.state = 'in_progress' and s.reported_at is null",
    );
    let calm = "select count(*) from tasker.tasks t join tasker.namespaces n using (namespace_id)
                where n.name = 'calm' and t.state = 'pending'";
    assert_eq!(shop.value(calm), "6", "it is still paused");
    assert_eq!(shop.number(ASK_STRICT), held.strict, "the context is known");
    shop.run("select tasker.resume_namespace('calm')");
    eventually("every task was over", || {
        play::work_off(shop, "shop") + play::work_off(shop, "calm") == 0
            && shop.holds("select count(*) = 0 from tasker.tasks where finished_at is null")
    });
    shop.eventually("select not exists (select from tasker.check())");
    assert_eq!(shop.value("select count(*) from tasker.tasks where state not in ('complete', 'error')"), "0");
    for step in held.by_function_workers.iter().chain(&held.by_plain_workers) {
        let (step_id, attempt) = step.split_once('|').unwrap_or_default();
        let step = shop.value(&format!("select state, attempts from tasker.steps where step_id = {step_id}"));
        assert_eq!(step, format!("complete|{attempt}"), "what was at a worker ended by its report");
    }
    let events = shop.value("select count(*) from pgmq.q_shop_events");
    let ended = "select count(*) from tasker.step_transitions x join tasker.tasks t on t.task_id = x.step_id >> 16
                 join tasker.task_templates tt using (template_id) where tt.name = 'loud' and x.to_state = 'complete'";
    let over = "select count(*) from tasker.tasks t join tasker.task_templates tt using (template_id)
                where tt.name = 'loud' and t.state = 'complete'";
    assert_eq!(events, shop.value(&format!("select ({ended}) + ({over})")), "each end was published once");
    let same = "select tasker.request_task('shop', 'two', idempotency_key => 'later')
                  = (select task_id from tasker.tasks where identity_key = 'two/later')";
    assert!(shop.holds(same), "the key is known");
}

/// All that is compiled from definitions, but for ids and times.
fn compiled(database: &mut Database) -> Vec<String> {
    database.rows(
        "select jsonb_pretty(to_jsonb(tt) - '{template_id,namespace_id,created_at}'::text[]),
           (select jsonb_pretty(jsonb_agg(to_jsonb(ts) - '{template_step_id,template_id}'::text[] order by ts.step_index))
            from tasker.template_steps ts where ts.template_id = tt.template_id),
           (select array_agg((d.parent_index, d.child_index) order by d.parent_index, d.child_index)
            from tasker.template_dependencies d where d.template_id = tt.template_id)
         from tasker.task_templates tt join tasker.namespaces n using (namespace_id) order by n.name, tt.name",
    )
}

#[test]
fn templates_are_compiled_as_if_they_were_registered_anew() {
    let mut fresh = CLUSTER.create("fresh_templates");
    for template in templates() {
        fresh.register(&template);
    }
    for release in releases() {
        let mut updated = of_release("templates", &release);
        let ids: Vec<_> = templates().iter().map(|template| updated.register(template)).collect();
        update(&mut updated);
        assert_eq!(compiled(&mut updated), compiled(&mut fresh));
        let again: Vec<_> = templates().iter().map(|template| updated.register(template)).collect();
        assert_eq!(again, ids, "workers register at start what is there already");
    }
}

#[test]
fn an_update_keeps_everything_and_the_run_goes_on() {
    for release in releases() {
        let (mut shop, held) = in_the_middle("kept", &release);
        // Nothing may move between the two looks: one transaction, with every table locked.
        shop.run("begin; lock table tasker.tasks, tasker.steps in exclusive mode");
        let before = visible(&mut shop);
        assert!(before.iter().any(|line| line.contains("|waiting_for_retry|")), "{before:#?}");
        assert!(shop.holds("select exists (select from tasker.dead_letters) and exists (select from tasker.leases)"));
        assert_eq!(shop.number("select count(*) from tasker.tasks"), TASKS);
        update(&mut shop);
        assert_eq!(visible(&mut shop), before);
        shop.run("commit");
        assert!(shop.rows("select * from tasker.check()").is_empty());
        finishes(&mut shop, &held);
    }
}

#[test]
fn an_update_beside_workers_who_go_on() {
    for release in releases() {
        let (mut shop, held) = in_the_middle("beside", &release);
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
                        // A call that waited for the update fails as a whole, once: its function or type has gone.
                        if let Err(error) = worker.try_rows("select tasker.request_task('shop', 'diamond')") {
                            let code = error.code().map(|code| code.code()).unwrap_or_default();
                            assert!(["40P01", "42883", "42846", "XX000"].contains(&code), "{error}");
                        }
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
        finishes(&mut shop, &held);
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
