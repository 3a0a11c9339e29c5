//! The example workers, as separate processes, run the example templates.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::thread;

mod common;
use common::{Cluster, Database, environment, eventually, project, server_program, signal, template, two_steps};
use serde_json::{Value, json};

static CLUSTER: LazyLock<Cluster> = LazyLock::new(|| Cluster::start("workers", &[]));

/// A worker process. It is killed when it has not ended by itself.
struct Worker {
    child: Child,
    log: String,
}

impl Worker {
    fn start(name: &str, command: &mut Command) -> Worker {
        let log = Path::new(&environment("TASKER_CLUSTERS")).join(format!("{name}.worker.log"));
        let file = fs::File::create(&log).unwrap();
        let (out, err) = (file.try_clone().unwrap(), file);
        let psql_dir = server_program("psql").parent().unwrap().display().to_string();
        let path = format!("{psql_dir}:{}", environment("PATH"));
        let command = command.env("PATH", path).stdin(Stdio::null()).stdout(out).stderr(err);
        let child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Worker { child, log: log.display().to_string() }
    }

    /// Asks it to end, as an operator would, and expects it to do so in good order.
    fn end(mut self) {
        signal("TERM", &self.child.id().to_string());
        let mut status = None;
        eventually("the worker had ended", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        assert!(status.is_some_and(|status| status.success()), "{status:?}: {log}");
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

fn plain_worker(database: &str) -> Worker {
    let mut command = CLUSTER.command(environment("TASKER_PYTHON"), database);
    let script = project("examples/workers/plain_worker.py");
    Worker::start(database, command.arg(script).args(["fulfillment", "order_handlers"]))
}

fn function_worker(database: &str, options: &[&str]) -> Worker {
    let mut command = CLUSTER.command(environment("TASKER_PYTHON"), database);
    let script = project("examples/workers/function_worker.py");
    Worker::start(database, command.arg(script).args(["analytics", "report_handlers"]).args(options))
}

fn bash_worker(database: &str, namespace: &str) -> Worker {
    let mut command = CLUSTER.command(project("examples/workers/worker.sh"), database);
    let handlers = project("examples/workers/handlers.sh");
    Worker::start(&format!("{database}-{namespace}-bash"), command.arg(namespace).arg(handlers))
}

/// A database with an example template, and with the tables that its handlers use.
fn shop(name: &str, definition: &str) -> Database {
    let mut shop = CLUSTER.create(name);
    shop.run(&fs::read_to_string(project("examples/demo/shop.sql")).unwrap());
    let definition = fs::read_to_string(project("examples/templates").join(definition)).unwrap();
    shop.call("select tasker.register_template($1::text)::text", &[&definition]);
    shop
}

fn order(number: usize, sku: &str, price: u32, token: &str) -> Value {
    json!({"order_id": format!("A-{number}"), "payment": {"token": token},
           "items": [{"sku": sku, "quantity": 2, "unit_price_cents": price}]})
}

fn request(shop: &mut Database, namespace: &str, name: &str, context: &Value) -> String {
    shop.call(
        "select tasker.request_task($1::text, $2::text, $3::text::jsonb)::text",
        &[namespace, name, &context.to_string()],
    )
}

/// How every task and its steps ended, say `error: first complete 1, second error 3`, in the order of the requests.
fn outcomes(shop: &mut Database) -> Vec<String> {
    shop.eventually("select count(*) = 0 from tasker.tasks where finished_at is null");
    assert!(shop.leftovers().is_empty(), "{:?}", shop.leftovers());
    shop.rows(
        "select t.state || ': ' || string_agg(format('%s %s %s', ts.name, s.state, s.attempts), ', ' order by s.step_id)
         from tasker.tasks t
         join tasker.steps s on s.task_id = t.task_id
         join tasker.template_steps ts on ts.template_step_id = s.template_step_id
         group by t.task_id order by t.task_id",
    )
}

const GOOD_ORDER: &str = "complete: validate_order complete 1, reserve_inventory complete 1, \
                          process_payment complete 1, ship_order complete 1";
const BUSY_ORDER: &str = "complete: validate_order complete 1, reserve_inventory complete 1, \
                          process_payment complete 2, ship_order complete 1";
const DECLINED_ORDER: &str = "error: validate_order complete 1, reserve_inventory complete 1, \
                              process_payment error 1, ship_order pending 0";
const GOOD_REPORT: &str = "complete: extract complete 1, transform_totals complete 1, \
                           transform_regions complete 1, load complete 1";
const EMPTY_REPORT: &str = "error: extract error 1, transform_totals pending 0, \
                            transform_regions pending 0, load pending 0";

#[test]
fn the_plain_worker_runs_orders_to_their_ends() {
    let mut shop = shop("plain", "order_fulfillment.yaml");
    let worker = plain_worker("plain");
    let contexts = [
        order(1, "LAMP", 1000, "tok_visa"),
        order(2, "LAMP", 1000, "tok_busy_1"),
        order(3, "LAMP", 1000, "tok_declined"),
        order(4, "GONE-9", 1000, "tok_visa"),
        order(5, "LAMP", 900_000, "tok_visa"),
    ];
    let tasks: Vec<_> =
        contexts.iter().map(|order| request(&mut shop, "fulfillment", "process_order", order)).collect();
    let gone =
        "error: validate_order complete 1, reserve_inventory error 1, process_payment pending 0, ship_order pending 0";
    let dear =
        "error: validate_order error 1, reserve_inventory pending 0, process_payment pending 0, ship_order pending 0";
    assert_eq!(outcomes(&mut shop), [GOOD_ORDER, BUSY_ORDER, DECLINED_ORDER, gone, dear]);
    let paid = format!("select results #>> '{{ship_order,paid_cents}}' from tasker.wait_for_task({})", tasks[0]);
    assert_eq!(shop.value(&paid), "2000");
    // The gateway said "come back in a second".
    let asked = format!("select max(backoff_request_seconds) from tasker.steps where task_id = {}", tasks[1]);
    assert_eq!(shop.value(&asked), "1");
    worker.end();
}

#[test]
fn the_function_worker_writes_each_report_once() {
    let mut shop = shop("functions", "data_pipeline.yaml");
    let worker = function_worker("functions", &[]);
    for day in ["2026-01-01", "2026-01-02", "2027-01-01"] {
        request(&mut shop, "analytics", "sales_report", &json!({"day": day}));
    }
    assert_eq!(outcomes(&mut shop), [GOOD_REPORT, GOOD_REPORT, EMPTY_REPORT]);
    assert_eq!(
        shop.rows("select day, revenue_cents from shop.reports order by day"),
        shop.rows(
            "select sold_on, sum(units * unit_price_cents) from shop.sales
             where status = 'paid' and sold_on in ('2026-01-01', '2026-01-02') group by sold_on order by sold_on"
        )
    );
    worker.end();
}

#[test]
fn the_bash_worker_runs_orders_to_their_ends() {
    let mut shop = shop("bash", "order_fulfillment.yaml");
    let worker = bash_worker("bash", "fulfillment");
    for (number, token) in ["tok_visa", "tok_busy_1", "tok_declined"].into_iter().enumerate() {
        request(&mut shop, "fulfillment", "process_order", &order(number, "it's a 'LAMP'\t\\", 1000, token));
    }
    assert_eq!(outcomes(&mut shop), [GOOD_ORDER, BUSY_ORDER, DECLINED_ORDER]);
    worker.end();
}

#[test]
fn workers_in_two_languages_share_a_task() {
    let mut shop = shop("shared", "data_pipeline.yaml");
    let workers = [
        bash_worker("shared", "analytics"),
        function_worker("shared", &["--steps", "transform_totals,transform_regions,load"]),
    ];
    request(&mut shop, "analytics", "sales_report", &json!({"day": "2026-01-03"}));
    assert_eq!(outcomes(&mut shop), [GOOD_REPORT]);
    workers.into_iter().for_each(Worker::end);
}

#[test]
fn a_worker_that_is_told_to_end_gives_back_what_it_has_not_tried() {
    let mut shop = shop("ended", "order_fulfillment.yaml");
    let worker = plain_worker("ended");
    for number in 0..60 {
        request(&mut shop, "fulfillment", "process_order", &order(number, "LAMP", 1000, "tok_visa"));
    }
    shop.eventually("select count(*) > 5 from tasker.steps where state = 'complete'");
    worker.end();
    assert!(shop.holds("select exists (select from tasker.tasks where finished_at is null)"), "it was too quick");
    assert_eq!(shop.value("select count(*) from pgmq.q_fulfillment_queue where vt > clock_timestamp()"), "0");
    let next = plain_worker("ended");
    assert_eq!(outcomes(&mut shop), [GOOD_ORDER; 60]);
    next.end();
}

#[test]
fn a_function_worker_that_is_told_to_end_releases_what_it_has_not_tried() {
    let mut shop = shop("released", "data_pipeline.yaml");
    let worker = function_worker("released", &["--qty", "50"]);
    for day in 0..50 {
        let day = shop.value(&format!("select date '2026-01-01' + {day}"));
        request(&mut shop, "analytics", "sales_report", &json!({"day": day}));
    }
    shop.eventually("select count(*) > 5 from tasker.steps where state = 'complete'");
    worker.end();
    assert!(shop.holds("select exists (select from tasker.tasks where finished_at is null)"), "it was too quick");
    assert_eq!(
        shop.value("select count(*) from tasker.steps where state = 'in_progress' and reported_at is null"),
        "0"
    );
    let next = function_worker("released", &["--qty", "50"]);
    shop.eventually("select count(*) = 0 from tasker.tasks where finished_at is null");
    assert_eq!(shop.rows("select distinct state from tasker.tasks"), ["complete"]);
    assert_eq!(shop.value("select count(*) from shop.reports"), "50");
    next.end();
}

#[test]
fn workers_that_register_one_template_at_once_get_one_id() {
    CLUSTER.create("registered");
    let ids: Vec<_> =
        (0..8).map(|_| thread::spawn(|| CLUSTER.connect("registered").register(&two_steps("shop")))).collect();
    let mut ids: Vec<_> = ids.into_iter().map(|id| id.join().unwrap()).collect();
    ids.dedup();
    assert_eq!(ids.len(), 1, "{ids:?}");
}

#[test]
fn workers_that_register_many_templates_at_once_do_not_get_in_each_others_way() {
    CLUSTER.create("many");
    let registering: Vec<_> = (0..8).map(|worker| thread::spawn(move || register_many(worker))).collect();
    registering.into_iter().for_each(|worker| worker.join().unwrap());
    let mut shop = CLUSTER.connect("many");
    assert_eq!(shop.value("select count(*) from tasker.namespaces"), "4");
    assert_eq!(shop.value("select count(*) from tasker.task_templates"), "40");
    shop.request("space_2", "template_7");
    shop.eventually("select count(*) = 1 from pgmq.q_space_2_queue");
}

/// Every worker registers the same forty, each in an order of its own.
fn register_many(worker: usize) {
    let mut shop = CLUSTER.connect("many");
    for number in 0..40 {
        let number = (number * 7 + worker * 11) % 40;
        let (namespace, name) = (format!("space_{}", number % 4), format!("template_{}", number / 4));
        shop.register(&template(&namespace, &name, &[("only", &[])]));
    }
}
