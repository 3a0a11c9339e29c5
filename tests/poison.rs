//! Whatever jsonb can hold, in any of the queues, alone or amid a thousand good messages, ends in rejected_messages and
//! stops nobody. A row that somebody has made inconsistent by hand stops its own task and no other.

use std::sync::LazyLock;

mod common;
use common::{Cluster, Database, eventually, play, two_steps};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Map, Value, json};

/// Random messages for each queue, the same in every run.
const BAD: usize = 300;
const GOOD: usize = 1_000;
const REQUESTS: &str = "orchestration_task_requests";
const RESULTS: &str = "orchestration_step_results";

/// Of fields that are looked at.
const NAMES: [&str; 9] =
    ["step_id", "task_id", "attempt", "status", "error", "namespace", "name", "context", "task_request"];

static CLUSTER: LazyLock<Cluster> = LazyLock::new(|| Cluster::start("poison", &[]));

fn shop(name: &str) -> Database {
    let mut shop = CLUSTER.create(name);
    shop.register(&two_steps("shop"));
    shop.is_served();
    shop
}

/// Texts that jsonb reads, none of which is a message that can be used. NULL is no jsonb, and yet a message can be it.
fn poison() -> Vec<Option<String>> {
    let deep = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
    let long = format!("\"{}\"", "x".repeat(1_000_000));
    let mut texts: Vec<_> =
        ["1e400", "-0.0", "{\"\": {}}", "{\"step_id\": 1e400, \"status\": \"success\"}", &deep, &long]
            .map(|text| Some(text.to_string()))
            .to_vec();
    texts.push(None);
    let (mut runner, strategy) = (TestRunner::deterministic(), any_json());
    texts.resize_with(BAD, || strategy.new_tree(&mut runner).ok().map(|tree| tree.current().to_string()));
    texts
}

fn any_json() -> impl Strategy<Value = Value> {
    // jsonb holds no NUL.
    let text = "[^\u{0}]{0,12}";
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text.prop_map(Value::from),
        Just(json!("success")),
        Just(json!("shop")),
    ];
    leaf.prop_recursive(4, 32, 6, move |inner| {
        let name = prop_oneof![4 => prop::sample::select(&NAMES[..]).prop_map(str::to_string), 1 => text];
        prop_oneof![
            1 => prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            4 => prop::collection::vec((name, inner), 0..8)
                .prop_map(|fields| Value::from(fields.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

fn literal(text: Option<&String>) -> String {
    text.map_or_else(|| "null".to_string(), |text| format!("'{}'", text.replace('\'', "''")))
}

/// Sends all of them in one transaction, and after every third of the bad ones some good ones.
fn send(shop: &mut Database, queue: &str, bad: &[Option<String>], good: &[String]) {
    let mut good = good.chunks(10);
    let mut sql = "begin".to_string();
    for chunk in bad.chunks(3) {
        let texts = chunk.iter().map(Option::as_ref).chain(good.next().unwrap_or_default().iter().map(Some));
        let texts: Vec<_> = texts.map(literal).collect();
        sql += &format!("; select pgmq.send('{queue}', m) from unnest(array[{}]::jsonb[]) m", texts.join(", "));
    }
    shop.run(&format!("{sql}; commit"));
}

fn assert_all_rejected(shop: &mut Database, queue: &str) {
    shop.eventually(&format!("select count(*) = {BAD} from tasker.rejected_messages where queue_name = '{queue}'"));
    assert!(shop.holds("select bool_and(reason <> '') from tasker.rejected_messages"));
}

/// No pass has failed, not even to be repeated message by message, and the orchestrator is the one that it was.
fn assert_undisturbed(shop: &mut Database, orchestrator: &str) {
    assert_eq!(shop.orchestrator(), orchestrator);
    assert_eq!(shop.value("select errors from tasker.orchestrator_status"), "0");
    let log = CLUSTER.log();
    let mine = format!("@{} ", shop.name);
    let failures: Vec<_> = log.lines().filter(|l| l.contains(&mine) && l.contains("a pass failed")).collect();
    assert!(failures.is_empty(), "{failures:#?}");
}

fn request() -> String {
    json!({"namespace": "shop", "name": "two", "context": {}}).to_string()
}

#[test]
fn poison_alone_is_rejected_and_the_loop_goes_on() {
    let mut shop = shop("alone");
    let orchestrator = shop.orchestrator();
    for queue in [REQUESTS, RESULTS] {
        send(&mut shop, queue, &poison(), &[]);
        assert_all_rejected(&mut shop, queue);
    }
    send(&mut shop, "shop_queue", &poison(), &[]);
    assert_eq!(shop.rows("select step_id from tasker.poll_steps('shop', 10)"), Vec::<String>::new());
    assert_all_rejected(&mut shop, "shop_queue");
    assert_undisturbed(&mut shop, &orchestrator);
    assert_eq!(shop.leftovers().iter().filter(|line| !line.starts_with("rejected")).count(), 0);
}

#[test]
fn poison_amid_a_thousand_requests_stops_none_of_them() {
    let mut shop = shop("requests");
    let orchestrator = shop.orchestrator();
    send(&mut shop, REQUESTS, &poison(), &vec![request(); GOOD]);
    shop.eventually(&format!("select count(*) = {GOOD} from tasker.tasks"));
    assert_all_rejected(&mut shop, REQUESTS);
    assert_undisturbed(&mut shop, &orchestrator);
}

#[test]
fn poison_amid_a_thousand_results_stops_none_of_them() {
    let mut shop = shop("results");
    let orchestrator = shop.orchestrator();
    shop.run("select tasker.set_namespace_limit('shop', null)");
    shop.run(&format!("select tasker.request_tasks('shop', 'two', array_fill('{{}}'::jsonb, array[{GOOD}]))"));
    shop.eventually(&format!("select count(*) = {GOOD} from tasker.steps where state = 'enqueued'"));
    let good = shop.rows(
        "select jsonb_build_object('step_id', step_id, 'status', 'success') from tasker.steps where state = 'enqueued'",
    );
    send(&mut shop, RESULTS, &poison(), &good);
    shop.eventually(&format!("select count(*) = {GOOD} from tasker.steps where state = 'complete'"));
    assert_all_rejected(&mut shop, RESULTS);
    assert_undisturbed(&mut shop, &orchestrator);
}

#[test]
fn poison_amid_a_thousand_step_messages_stops_no_worker() {
    let mut shop = shop("steps");
    let orchestrator = shop.orchestrator();
    shop.run("select tasker.set_namespace_limit('shop', null)");
    send(&mut shop, "shop_queue", &poison()[..BAD / 2], &[]);
    shop.run(&format!("select tasker.request_tasks('shop', 'two', array_fill('{{}}'::jsonb, array[{GOOD}]))"));
    shop.eventually(&format!("select count(*) = {GOOD} from tasker.steps where state = 'enqueued'"));
    send(&mut shop, "shop_queue", &poison()[BAD / 2..], &[]);
    eventually("every task was over", || {
        shop.run(
            "select tasker.complete_steps(array(
               select jsonb_build_object('step_id', p.step_id, 'attempt', p.attempt, 'status', 'success')
               from tasker.poll_steps('shop', 100) p))",
        );
        shop.holds("select count(*) = 0 from tasker.tasks where finished_at is null")
    });
    assert_all_rejected(&mut shop, "shop_queue");
    assert_undisturbed(&mut shop, &orchestrator);
}

/// What somebody might do by hand to one task, {task}, whose first step is in flight, or to its template {template}.
const BY_HAND: [&str; 16] = [
    "update tasker.tasks set active_steps = 0 where task_id = {task}",
    "update tasker.tasks set active_steps = 7, error_steps = 3 where task_id = {task}",
    "update tasker.tasks set template_id = 999999 where task_id = {task}",
    "update tasker.tasks set state = 'pending', started_at = null where task_id = {task}",
    "update tasker.steps set state = 'waiting_for_retry', next_retry_at = '2020-01-01', attempts = 2147483647,
       max_attempts = 2147483647 where step_id = {task} * 65536 + 1;
     insert into tasker.timers (fire_at, kind, step_ids, attempts)
     values ('2020-01-01', 'retry', array[{task} * 65536 + 1], array[2147483647])",
    "delete from tasker.tasks where task_id = {task}",
    "delete from tasker.steps where task_id = {task}",
    "delete from tasker.steps where step_id = {task} * 65536 + 2",
    "update tasker.steps set remaining_parents = 0 where step_id = {task} * 65536 + 2",
    "update tasker.steps set remaining_parents = 9 where step_id = {task} * 65536 + 2",
    "update tasker.steps set template_step_id = 999999 where task_id = {task}",
    "update tasker.steps set state = 'complete', finished_at = now() where step_id = {task} * 65536 + 1",
    "insert into tasker.waiting (namespace_id, template_id, task_id, step_id, since, priority)
     select namespace_id, template_id, task_id, task_id * 65536 + 2, '2020-01-01', 4 from tasker.tasks where task_id = {task}",
    "insert into tasker.timers (fire_at, kind, step_ids, attempts)
     values ('2020-01-01', 'retry', array[{task} * 65536 + 2, 7], array[1, null])",
    "delete from tasker.template_dependencies where template_id = {template}",
    "delete from tasker.template_steps where template_id = {template}",
];

#[test]
fn a_row_made_inconsistent_by_hand_stops_its_own_task_and_no_other() {
    let mut shop = shop("by_hand");
    shop.is_broken = true;
    let orchestrator = shop.orchestrator();
    for (number, change) in BY_HAND.iter().enumerate() {
        let mut template = two_steps("shop");
        template["name"] = json!(format!("broken_{number}"));
        let template = shop.register(&template);
        let before = shop.request("shop", "two");
        let task = shop.request("shop", &format!("broken_{number}"));
        shop.eventually(&format!(
            "select exists (select from tasker.steps where step_id = {task} * 65536 + 1 and state = 'enqueued')"
        ));
        let change = change.replace("{task}", &format!("{task}::bigint")).replace("{template}", &template);
        shop.run(&format!("set session_replication_role = replica; {change}; reset session_replication_role"));
        let after = shop.request("shop", "two");
        eventually(&format!("the others were over after {change}"), || {
            play::work_off(&mut shop, "shop");
            let others =
                format!("select bool_and(state = 'complete') from tasker.tasks where task_id in ({before}, {after})");
            shop.holds(&others)
        });
    }
    assert_eq!(shop.orchestrator(), orchestrator);
}
