//! The table of roles in docs/operations.md is what the roles may do: every public function, view and table, as every
//! role, by trying it. And what a monitor may read holds no payload.

use std::collections::BTreeMap;
use std::fs;
use std::sync::LazyLock;

mod common;
use common::{Cluster, Database, project, two_steps};

static CLUSTER: LazyLock<Cluster> = LazyLock::new(|| Cluster::start("roles", &["tasker.enabled=off"]));

/// The names in the table, each with the rights that it says `yes` to; and the rights.
fn documented() -> (BTreeMap<String, Vec<String>>, Vec<String>) {
    let text = fs::read_to_string(project("docs/operations.md")).expect("docs/operations.md can be read");
    let mut rows = text.lines().skip_while(|line| !line.starts_with("| function, view or table |"));
    let cells = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_string()).collect::<Vec<_>>();
    let rights = cells(rows.next().expect("the table of roles is there"))[1..].to_vec();
    let mut may = BTreeMap::new();
    for row in rows.skip(1).take_while(|line| line.starts_with('|')).map(cells) {
        let granted: Vec<_> =
            rights.iter().zip(&row[1..]).filter(|(_, cell)| *cell == "yes").map(|(right, _)| right.clone()).collect();
        for name in row[0].split('`').skip(1).step_by(2) {
            assert!(may.insert(name.to_string(), granted.clone()).is_none(), "{name} stands twice in the table");
        }
    }
    (may, rights)
}

/// Everything public: its name, and a statement that uses it.
fn surface(database: &mut Database) -> Vec<(String, String)> {
    let rows = database.rows(
        "select p.proname,
           format('select * from tasker.%I(%s)', p.proname, (
             select string_agg('null::' || format_type(t, null), ', ' order by n) from unnest(p.proargtypes) with ordinality a(t, n)))
         from pg_proc p
         where p.pronamespace = 'tasker'::regnamespace and p.proname not like '\\_%'
         union all
         select c.relname, format('select * from tasker.%I limit 0', c.relname)
         from pg_class c
         where c.relnamespace = 'tasker'::regnamespace and c.relkind in ('r', 'v')
         order by 1",
    );
    rows.iter().map(|row| row.split_once('|').map(|(a, b)| (a.to_string(), b.to_string())).unwrap()).collect()
}

/// Whether a role is let through to a function or relation, whatever that says then.
fn is_let_through(database: &mut Database, role: &str, statement: &str) -> bool {
    database.run(&format!("begin; set local role {role}"));
    let outcome = database.try_rows(statement);
    database.run("rollback");
    match outcome {
        Ok(_) => true,
        Err(error) => !error.as_db_error().unwrap().message().starts_with("permission denied for"),
    }
}

/// What a role may use, by trying all of it.
fn reach(database: &mut Database, role: &str) -> Vec<String> {
    let mut reached = Vec::new();
    for (name, statement) in surface(database) {
        if is_let_through(database, role, &statement) {
            reached.push(name);
        }
    }
    reached.dedup();
    reached
}

fn with_right(may: &BTreeMap<String, Vec<String>>, right: &str) -> Vec<String> {
    may.iter().filter(|(_, rights)| rights.iter().any(|r| r == right)).map(|(name, _)| name.clone()).collect()
}

fn database(name: &str) -> Database {
    let mut database = CLUSTER.create(name);
    database.register(&two_steps("shop"));
    database
}

#[test]
fn every_role_may_do_what_the_table_says_and_no_more() {
    let mut database = database("table_of_roles");
    let (may, rights) = documented();
    let mut names: Vec<_> = surface(&mut database).into_iter().map(|(name, _)| name).collect();
    names.dedup();
    assert_eq!(may.keys().cloned().collect::<Vec<_>>(), names, "the table names everything, and nothing else");
    assert_eq!(rights, ["requester", "author", "worker", "monitor", "admin"]);
    for right in &rights {
        assert_eq!(reach(&mut database, &format!("tasker_{right}")), with_right(&may, right), "tasker_{right}");
    }
}

#[test]
fn a_limited_role_may_call_what_its_right_says() {
    let mut database = database("limited_roles");
    let (may, _) = documented();
    for right in ["requester", "author", "worker"] {
        database.run(&format!("create role one_{right}; select tasker.grant_{right}('one_{right}', 'shop')"));
        assert_eq!(reach(&mut database, &format!("one_{right}")), with_right(&may, right), "{right} of one namespace");
        database.run(&format!("select tasker.revoke_{right}('one_{right}', 'shop')"));
        database.run(&format!("grant usage on schema tasker to one_{right}"));
        assert_eq!(reach(&mut database, &format!("one_{right}")), [""; 0], "taken back");
        database.run(&format!("drop owned by one_{right}; drop role one_{right}"));
    }
}

#[test]
fn public_may_do_nothing_and_nobody_writes() {
    let mut database = database("public");
    database.run("create role anybody");
    assert!(!database.holds("select has_schema_privilege('anybody', 'tasker', 'usage')"));
    database.run("grant usage on schema tasker to anybody");
    assert_eq!(reach(&mut database, "anybody"), [""; 0]);
    let writers = database.rows(
        "select c.oid::regclass, r.rolname
         from pg_class c
         join pg_roles r on r.rolname like 'tasker\\_%' and r.rolname <> 'tasker_owner'
         where c.relnamespace = 'tasker'::regnamespace and c.relkind in ('r', 'v', 'S')
           and (c.relkind = 'S' and has_sequence_privilege(r.oid, c.oid, 'update')
             or c.relkind <> 'S' and has_table_privilege(r.oid, c.oid, 'insert, update, delete, truncate'))",
    );
    assert_eq!(writers, [""; 0]);
    // Internal functions, but for those that views call as whoever reads the view.
    let callable = database.rows(
        "select distinct p.proname
         from pg_proc p
         join pg_roles r on r.rolname like 'tasker\\_%' and r.rolname not in ('tasker_owner', 'tasker_monitor', 'tasker_admin')
         where p.pronamespace = 'tasker'::regnamespace and p.proname like '\\_%' and has_function_privilege(r.oid, p.oid, 'execute')",
    );
    assert_eq!(callable, [""; 0]);
}

/// What a payload holds. It is in everything that applications send: contexts, results, errors, messages.
const SECRET: &str = "card-4000123412341234";

/// A database in which the secret is in every state that it can get to.
fn with_secrets() -> Database {
    let mut database = database("payloads");
    database.run(&format!(
        "select tasker.request_task('shop', 'two', '{{\"card\": \"{SECRET}\"}}') from generate_series(1, 4)"
    ));
    database.run("select tasker.run_until_idle()");
    database.run("select count(*) from tasker.poll_steps('shop', 4)");
    // Done; failed for good; to be tried again; sent and refused.
    database.run(&format!("select tasker.complete_step(65537, 1, '{{\"card\": \"{SECRET}\"}}')"));
    database.run(&format!("select tasker.fail_step(131073, 1, '{{\"message\": \"{SECRET}\", \"context\": \"{SECRET}\"}}', retryable => false)"));
    database.run(&format!(
        "select tasker.fail_step(196609, 1, '{{\"message\": \"{SECRET}\", \"backtrace\": \"{SECRET}\"}}')"
    ));
    database.run(&format!("select pgmq.send('orchestration_step_results', '{{\"result_data\": \"{SECRET}\"}}')"));
    database.run(&format!("select pgmq.send('orchestration_task_requests', '{{\"context\": \"{SECRET}\"}}')"));
    database.run("select tasker.run_until_idle()");
    let kept = "select count(*) from tasker.dead_letters union all select count(*) from tasker.rejected_messages";
    assert_eq!(database.rows(kept), ["1", "2"]);
    let held = format!(
        "select count(*) from tasker.steps where (results::text || coalesce(last_error::text, '')) like '%{SECRET}%' or last_error::text like '%{SECRET}%'"
    );
    assert_eq!(database.number(&held), 3);
    database
}

#[test]
fn a_monitor_reads_no_payload() {
    let mut database = with_secrets();
    let (may, _) = documented();
    let views =
        database.rows("select relname from pg_class where relnamespace = 'tasker'::regnamespace and relkind = 'v'");
    let mut asked = 0;
    for name in with_right(&may, "monitor") {
        let statements = match name.as_str() {
            view if views.iter().any(|v| v == view) => vec![format!("select v::text from tasker.{view} v")],
            "template_graph" => vec!["select tasker.template_graph('shop', 'two')".to_string()],
            "get_task_execution_contexts" => {
                vec!["select tasker.get_task_execution_contexts('{1,2,3,4}')::text".into()]
            }
            "clock"
            | "check"
            | "get_system_health_counts"
            | "get_analytics_metrics"
            | "get_slowest_steps"
            | "get_slowest_tasks"
            | "list_templates" => vec![format!("select tasker.{name}()::text")],
            _ => (1..=4).map(|task| format!("select tasker.{name}({task})::text")).collect(),
        };
        for statement in statements {
            database.run("set role tasker_monitor");
            let rows = database.rows(&statement);
            database.run("reset role");
            assert!(!rows.iter().any(|row| row.contains(SECRET)), "{statement}: {rows:#?}");
            asked += 1;
        }
    }
    assert!(asked > 30, "only {asked}");
    // Nor does it reach the queues.
    for queue in ["orchestration_task_requests", "orchestration_step_results", "shop_queue"] {
        assert!(!is_let_through(&mut database, "tasker_monitor", &format!("select * from pgmq.q_{queue}")), "{queue}");
    }
}
