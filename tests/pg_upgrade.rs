//! pg_upgrade in the middle of a run: the new cluster holds everything, stays idle until someone takes over, and then goes on.

use std::process::Command;

mod common;
use common::{Cluster, Database, eventually, newer_server, output, play, project, skip, two_steps};

/// A database in which some tasks are over, some in progress and some not started; steps are at workers, reported, and
/// waiting for a retry.
fn in_the_middle(cluster: &Cluster) -> Database {
    let mut shop = cluster.create("shop");
    shop.register(&two_steps("shop"));
    shop.run("select tasker.set_namespace_limit('shop', 10)");
    shop.run("select count(tasker.request_task('shop', 'two')) from generate_series(1, 50)");
    shop.run(
        "select tasker.request_task('shop', 'two', run_at => clock_timestamp() + '2 s', idempotency_key => 'later')",
    );
    eventually("some tasks were over", || {
        shop.run(
            "select pgmq.send('orchestration_step_results',
               jsonb_build_object('step_id', step_id, 'attempt', attempt, 'status', 'failure'))
             from tasker.poll_steps('shop', 1)",
        );
        play::work_off(&mut shop, "shop");
        shop.holds("select count(*) > 5 from tasker.tasks where state = 'complete'")
    });
    shop.eventually("select exists (select from tasker.poll_steps('shop', 2))");
    // Nobody settles this one any more: the server is stopped right behind it.
    shop.eventually(
        "select exists (select from tasker.poll_steps('shop') s
           cross join lateral tasker.complete_step(s.step_id, s.attempt, '{\"last\": \"words\"}'))",
    );
    shop
}

const CONTENTS: &str = "
    select 'task', t.task_id::text, t.state, t.created_at::text from tasker.tasks t
    union all
    select 'step', s.step_id::text, s.state, s.attempts || ' ' || coalesce(s.results::text, '') from tasker.steps s
    union all
    select 'message', q.msg_id::text, q.message::text, q.vt::text from pgmq.q_orchestration_step_results q
    union all
    select 'message', q.msg_id::text, q.message::text, q.vt::text from pgmq.q_shop_queue q
    union all
    select 'sequence', s.schemaname || '.' || s.sequencename, s.last_value::text, null from pg_sequences s
    order by 1, 2";

/// Whether that server understands the marks that others give to columns.
fn knows_marks(server: u32) -> bool {
    let script = format!(
        "source scripts/env.sh; grep -q pg_attver \"$(dirname \"$(server_of_version {server})\")/postgres\" && echo yes || echo no"
    );
    output(Command::new("bash").args(["-c", &script]).current_dir(project("."))).trim() == "yes"
}

/// 15.20 marks each column with a version that 18.6, three months older, does not know; its pg_upgrade fails there. Where
/// that is so, the marks are taken away: they belong to the servers, and not to what is tested here.
fn unmark_columns(cluster: &Cluster) {
    for name in cluster.connect("postgres").rows("select datname from pg_database where datallowconn") {
        cluster.connect(&name).run(
            "update pg_attribute set attoptions = nullif(array(select o from unnest(attoptions) o where o !~ '^pg_attver='), '{}')
             where attoptions::text ~ 'pg_attver='",
        );
    }
}

#[test]
fn an_upgraded_cluster_stays_idle_until_it_takes_over_and_finishes_the_run() {
    let Some(newer) = newer_server() else {
        return skip("pg_upgrade: there is no newer server with this extension; make install PG=18 makes one");
    };
    let cluster = Cluster::start("old", &[]);
    let mut original = in_the_middle(&cluster);
    cluster.set("tasker.enabled", "off");
    original.eventually("select situation = 'switched off' and state = 'disabled' from tasker.orchestrator_status");
    let expected = original.rows(CONTENTS);
    drop(original);
    if !knows_marks(newer) {
        unmark_columns(&cluster);
    }

    let upgraded = cluster.upgraded(newer, "new");
    let mut shop = upgraded.connect("shop");
    assert_eq!(shop.number("select current_setting('server_version_num')::integer / 10000"), i64::from(newer));
    shop.eventually("select situation = 'copy' and state = 'copy' from tasker.orchestrator_status");
    let said = r#"tasker orchestrator stays idle: database "shop" is a copy of another"#;
    eventually("the log said so", || upgraded.log().contains(said));
    assert_eq!(shop.value("select accepted + settled + fired + started + enqueued from tasker.orchestrate()"), "0");
    assert_eq!(shop.rows(CONTENTS), expected);

    shop.run("select tasker.take_over()");
    shop.run(
        "select tasker.release_steps(array_agg(s.step_id), array_agg(s.attempts)) from tasker.steps s
         where s.state = 'in_progress' and s.reported_at is null",
    );
    let last = shop.number("select max(task_id) from tasker.tasks");
    assert_eq!(shop.request("shop", "two"), last + 1);
    play::work_until_over(&mut shop, "shop");
    assert_eq!(shop.rows("select state, count(*) from tasker.tasks group by state"), ["complete|52"]);
    assert!(shop.leftovers().is_empty(), "{:?}", shop.leftovers());
    assert_eq!(shop.value("select count(*) from tasker.steps where results = '{\"last\": \"words\"}'"), "1");
    assert_eq!(shop.value("select errors from tasker.orchestrator_status"), "0");
}
