//! The orchestrator connects as a superuser and works as tasker_owner: whatever gets to run within a pass has no more
//! rights than that role, and no way back.

mod common;
use common::{Cluster, Database, play, two_steps};

/// What must not go, and the error that says so.
const FORBIDDEN: &[(&str, &str)] = &[
    ("select count(*) from pg_authid", "42501"),
    ("select * from public.secret", "42501"),
    ("insert into public.secret values (2)", "42501"),
    ("copy (select 1) to program 'true'", "42501"),
    ("copy (select 1) to '/tmp/tasker_was_here'", "42501"),
    ("select pg_read_file('postgresql.conf')", "42501"),
    ("select pg_ls_dir('.')", "42501"),
    ("select pg_reload_conf()", "42501"),
    ("create role tasker_intruder superuser", "42501"),
    ("alter role tasker_owner superuser", "42501"),
    ("grant pg_execute_server_program to tasker_owner", "42501"),
    ("create function pg_temp.c() returns integer language c as 'tasker_pg', 'clock_wrapper'", "42501"),
    ("drop extension pgmq", "42501"),
    ("create table public.planted (id integer)", "42501"),
    ("create schema planted", "42501"),
    ("set tasker.fake_now = '2000-01-01'", "42501"),
    ("set session_preload_libraries = 'x'", "42501"),
    // The way back to the superuser that logged in.
    ("reset role", "42501"),
    ("set role none", "42501"),
    ("set role postgres", "42501"),
    ("set session authorization default", "42501"),
    ("reset session authorization", "42501"),
    ("set session authorization postgres", "42501"),
];

/// A superuser plants a trigger on a table of the engine that tries all of it, and writes down what came of it.
fn plant(shop: &mut Database) {
    shop.run(
        "create table secret (id integer);
         create table tried (trigger text, statement text, state text, as_user text);
         create table forbidden (statement text);
         grant insert on tried to tasker_owner;
         grant select on forbidden to tasker_owner",
    );
    for (statement, _) in FORBIDDEN {
        shop.call(
            "with f as (insert into forbidden values ($1) returning 1) select count(*)::text from f",
            &[statement],
        );
    }
    shop.run(
        "create function planted() returns trigger language plpgsql as $$
         declare
           attempt text;
         begin
           for attempt in select f.statement from public.forbidden f loop
             begin
               execute attempt;
               insert into public.tried values (tg_name, attempt, 'done', current_user);
             exception when others then
               insert into public.tried values (tg_name, attempt, sqlstate, current_user);
             end;
           end loop;
           return null;
         end $$;
         create trigger at_once after update on tasker.tasks for each row execute function planted();
         create constraint trigger at_commit after update on tasker.tasks deferrable initially deferred for each row execute function planted()",
    );
}

#[test]
fn what_runs_within_a_pass_has_no_more_rights_than_its_owner() {
    let cluster = Cluster::start("owner", &[]);
    let mut shop = cluster.create("shop");
    shop.register(&two_steps("shop"));
    shop.is_served();
    let log_before = cluster.log().len();
    plant(&mut shop);
    let task = shop.request("shop", "two");
    play::work_until_over(&mut shop, "shop");
    assert_eq!(shop.value(&format!("select state from tasker.tasks where task_id = {task}")), "complete");

    for trigger in ["at_once", "at_commit"] {
        let tried = shop.rows(&format!(
            "select statement, string_agg(distinct state, ' ') from tried where trigger = '{trigger}' group by statement order by statement collate \"C\""
        ));
        let mut expected: Vec<_> = FORBIDDEN.iter().map(|(statement, state)| format!("{statement}|{state}")).collect();
        expected.sort();
        assert_eq!(tried, expected, "{trigger}");
    }
    assert_eq!(shop.rows("select distinct as_user from tried"), ["tasker_owner"]);
    // It was the orchestrator who ran into it, not this session: its passes went on.
    assert!(!cluster.log()[log_before..].contains("FATAL"));
    assert!(shop.number("select finished from tasker.orchestrator_status") > 0);
}

#[test]
fn its_role_has_no_attribute_and_no_membership() {
    let cluster = Cluster::start("owner_role", &[]);
    let mut shop = cluster.create("shop");
    shop.register(&two_steps("shop"));
    assert!(shop.holds(
        "select not (rolsuper or rolcreaterole or rolcreatedb or rolcanlogin or rolreplication or rolbypassrls)
         from pg_roles where rolname = 'tasker_owner'"
    ));
    assert_eq!(shop.value("select count(*) from pg_auth_members where member = 'tasker_owner'::regrole"), "0");
    // What it may do outside of its own schema: own queues.
    let elsewhere = shop.rows(
        "select n.nspname, a.privilege_type
         from pg_namespace n cross join aclexplode(n.nspacl) a
         where a.grantee = 'tasker_owner'::regrole and n.nspname <> 'tasker' order by 1, 2",
    );
    assert_eq!(elsewhere, ["pgmq|CREATE", "pgmq|USAGE"]);
    let tables = shop.rows(
        "select c.oid::regclass, string_agg(a.privilege_type, ' ' order by a.privilege_type)
         from pg_class c cross join aclexplode(c.relacl) a
         where a.grantee = 'tasker_owner'::regrole and c.relowner <> 'tasker_owner'::regrole group by 1",
    );
    assert_eq!(tables, ["pgmq.meta|DELETE INSERT SELECT"]);
}
