//! Processes are killed at random moments, under load: the server with all its processes, single ones of it, workers.
//! Afterwards every request that was acknowledged is there and done, no step has completed twice, what workers wrote
//! together with their reports is there exactly once, and nothing is left over.
//!
//! TASKER_FAULT_ROUNDS says how often something is killed (8), TASKER_FAULT_SEED what and when.

use std::collections::BTreeSet;
use std::fs;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

mod common;
use common::play::work_until_over;
use common::random::{Random, random_steps};
use common::{Cluster, Database, eventually, number_from_environment, two_steps};
use serde_json::{Value, json};

const TEMPLATES: usize = 24;
/// Name and max_in_flight.
const NAMESPACES: [(&str, &str); 2] = [("wide", "null"), ("tight", "4")];
/// So many tasks are unfinished at any time while things are killed.
const LOAD: &str = "40";
/// A worker that finds no server for so long has outlived its test.
const ORPHANED: Duration = Duration::from_secs(60);
/// Tells a worker process its kind, its seed and where the server is.
const ORDERS: &str = "TASKER_CRASH_WORKER";

/// A kill can cost an attempt, so that these must not run out.
const MAX_ATTEMPTS: u64 = 100;

// The workers ------------------------------------------------------------------------------------------------------

type Answer<T> = Result<T, postgres::Error>;

/// Takes some steps of a namespace, does them and reports.
type Work = fn(&mut Worker, &str) -> Answer<()>;

const KINDS: [Work; 5] = [read_and_delete, pop_and_send, complete_with_ledger, advance_with_ledger, exchange];

struct Worker {
    database: Database,
    random: Random,
    /// Results that are not known to have been delivered.
    undelivered: Vec<String>,
}

impl Worker {
    fn messages(&mut self, sql: &str) -> Answer<Vec<Value>> {
        Ok(self.database.try_rows(sql)?.iter().map(|row| serde_json::from_str(row).unwrap()).collect())
    }

    fn poll(&mut self, namespace: &str) -> Answer<Vec<Value>> {
        let qty = 1 + self.random.below(8);
        self.messages(&format!("select message from tasker.poll_steps('{namespace}', {qty}, max_wait => '20 ms')"))
    }

    /// A result, a failure now and then. `by` says in the step's row who completed it.
    fn execute(&mut self, message: &Value, by: &str) -> Value {
        thread::sleep(Duration::from_micros(self.random.below(2_000)));
        let failed = self.random.once_in(8);
        json!({"step_id": message["step_id"], "task_id": message["task_id"], "attempt": message["attempt"],
               "status": if failed { "failure" } else { "success" },
               "result_data": if failed { Value::Null } else { json!({"by": by}) },
               "error": if failed { json!({"message": "not yet"}) } else { Value::Null }})
    }

    fn results(&mut self, messages: &[Value], by: &str) -> Vec<String> {
        messages.iter().map(|message| format!("'{}'::jsonb", self.execute(message, by))).collect()
    }
}

/// Hidden first, then deleted in the transaction that sends the results: a crash means that they come again.
fn read_and_delete(worker: &mut Worker, namespace: &str) -> Answer<()> {
    let taken = worker.messages(&format!(
        "select jsonb_build_object('msg_id', msg_id, 'message', message) from pgmq.read('{namespace}_queue', 1, 4)"
    ))?;
    if taken.is_empty() {
        return Ok(());
    }
    let messages: Vec<_> = taken.iter().map(|row| row["message"].clone()).collect();
    let ids: Vec<_> = taken.iter().map(|row| row["msg_id"].to_string()).collect();
    let (results, ids) = (worker.results(&messages, "read").join(","), ids.join(","));
    worker.database.try_rows(&format!(
        "begin;
         select pgmq.send_batch('orchestration_step_results', array[{results}]);
         select pgmq.delete('{namespace}_queue', array[{ids}]::bigint[]);
         commit"
    ))?;
    Ok(())
}

/// Gone when taken: a crash means that the attempts are lost.
fn pop_and_send(worker: &mut Worker, namespace: &str) -> Answer<()> {
    let taken = worker.messages(&format!("select message from pgmq.pop('{namespace}_queue', 2)"))?;
    for result in worker.results(&taken, "pop") {
        worker.database.try_rows(&format!("select pgmq.send('orchestration_step_results', {result})"))?;
    }
    Ok(())
}

/// Writes to a table of its own in the transaction that completes the step.
fn complete_with_ledger(worker: &mut Worker, namespace: &str) -> Answer<()> {
    for message in worker.poll(namespace)? {
        let (step_id, attempt) = (message["step_id"].clone(), message["attempt"].clone());
        let result = worker.execute(&message, "ledger");
        let report = if result["status"] == "success" {
            format!(
                "insert into ledger values ({step_id}, {attempt}, 'ledger');
                 select tasker.complete_step({step_id}, {attempt}, '{}')",
                result["result_data"]
            )
        } else {
            format!("select tasker.fail_step({step_id}, {attempt}, '{}')", result["error"])
        };
        worker.database.try_rows("begin")?;
        let reported = worker.database.try_rows(&report);
        thread::sleep(Duration::from_micros(worker.random.below(2_000)));
        let keep = reported.is_ok() && !worker.random.once_in(20);
        worker.database.try_rows(if keep { "commit" } else { "rollback" })?;
    }
    Ok(())
}

/// The same with a worker that advances its tasks itself.
fn advance_with_ledger(worker: &mut Worker, namespace: &str) -> Answer<()> {
    let taken = worker.poll(namespace)?;
    if taken.is_empty() {
        return Ok(());
    }
    let results = worker.results(&taken, "advance").join(",");
    worker.database.try_rows(&format!(
        "begin;
         insert into ledger
         select o.step_id, o.attempt, 'advance'
         from (values (array[{results}])) r(results)
         cross join lateral tasker.complete_steps(r.results, advance => true) o
         where o.outcome in ('settled', 'queued') and r.results[o.item] ->> 'status' = 'success';
         commit"
    ))?;
    Ok(())
}

/// Delivers and receives in one call. What may not have arrived is delivered again.
fn exchange(worker: &mut Worker, namespace: &str) -> Answer<()> {
    let results = worker.undelivered.join(",");
    let taken = worker.messages(&format!(
        "select message from tasker.exchange_steps('{namespace}', array[{results}]::jsonb[], 5, max_wait => '20 ms')"
    ))?;
    worker.undelivered = worker.results(&taken, "exchange");
    Ok(())
}

/// What a worker process does, from its start until it is killed.
#[test]
#[ignore = "a process that the test of this program starts"]
fn worker_process() {
    let Ok(orders) = std::env::var(ORDERS) else { return };
    let orders: Vec<_> = orders.split('|').collect();
    let [kind, seed, host, port] = orders[..] else { panic!("{orders:?}") };
    let work = KINDS[kind.parse::<usize>().unwrap()];
    let (mut random, mut undelivered) = (Random(seed.parse().unwrap()), Vec::new());
    let mut reached_at = Instant::now();
    while reached_at.elapsed() < ORPHANED {
        if let Ok(database) = Database::connect(host, port, "postgres", "dags") {
            let mut worker = Worker { database, random, undelivered };
            // After an error of whatever kind it goes on with a new connection.
            while NAMESPACES.iter().all(|(namespace, _)| work(&mut worker, namespace).is_ok()) {
                reached_at = Instant::now();
            }
            (random, undelivered) = (worker.random, worker.undelivered);
        }
        thread::sleep(Duration::from_millis(20));
    }
}

struct Workers<'a> {
    cluster: &'a Cluster,
    processes: Vec<Child>,
    started: u64,
}

impl Workers<'_> {
    fn start(cluster: &Cluster) -> Workers<'_> {
        let mut workers = Workers { cluster, processes: Vec::new(), started: 0 };
        for kind in 0..KINDS.len() {
            let process = workers.spawn(kind);
            workers.processes.push(process);
        }
        workers
    }

    fn spawn(&mut self, kind: usize) -> Child {
        let [host, port] = self.cluster.address();
        self.started += 1;
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "worker_process", "--ignored"])
            .env(ORDERS, format!("{kind}|{}|{host}|{port}", self.started))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    /// Kills one, and starts another in its place.
    fn kill(&mut self, kind: usize) {
        let process = self.spawn(kind);
        end(&mut std::mem::replace(&mut self.processes[kind], process));
    }
}

impl Drop for Workers<'_> {
    fn drop(&mut self) {
        self.processes.iter_mut().for_each(end);
    }
}

fn end(process: &mut Child) {
    let _ = process.kill();
    let _ = process.wait();
}

// The requests -----------------------------------------------------------------------------------------------------

/// Requests tasks until it is over, each until it is acknowledged. Returns their keys.
fn request(cluster: &Cluster, by_queue: bool, mut random: Random, over: &AtomicBool) -> Vec<String> {
    let mut acknowledged = Vec::new();
    let mut shop = None;
    while !over.load(Ordering::Relaxed) {
        let template = random.below(TEMPLATES as u64) as usize;
        let key = format!("{}-{}", if by_queue { "queue" } else { "function" }, acknowledged.len());
        let request = one_request(by_queue, template, &key);
        while !acknowledge(&mut shop, &request) {
            thread::sleep(Duration::from_millis(5));
            shop = shop.or_else(|| cluster.try_connect("dags").ok());
        }
        acknowledged.push(key);
    }
    acknowledged
}

fn one_request(by_queue: bool, template: usize, key: &str) -> String {
    let (namespace, name) = (namespace_of(template), format!("dag_{template}"));
    if by_queue {
        let request = json!({"namespace": namespace, "name": name, "context": {}, "idempotency_key": key});
        format!("select pgmq.send('orchestration_task_requests', '{request}')")
    } else {
        format!("select tasker.request_task('{namespace}', '{name}', idempotency_key => '{key}')")
    }
}

/// Sends a request when there is room for more load. False as long as it is not known to be committed.
fn acknowledge(shop: &mut Option<Database>, request: &str) -> bool {
    let Some(database) = shop else { return false };
    let room = database.try_rows(&format!(
        "select (select count(*) from tasker.tasks where finished_at is null)
           + (select count(*) from pgmq.q_orchestration_task_requests) < {LOAD}"
    ));
    let sent = room.and_then(|room| if room == ["t"] { database.try_rows(request).map(|_| true) } else { Ok(false) });
    if sent.is_err() {
        *shop = None;
    }
    sent.unwrap_or(false)
}

fn namespace_of(template: usize) -> &'static str {
    NAMESPACES[template % NAMESPACES.len()].0
}

// The faults -------------------------------------------------------------------------------------------------------

/// The server's processes: the postmaster first, then its children, with their titles.
fn server_processes(cluster: &Cluster) -> Vec<(String, String)> {
    let postmaster = fs::read_to_string(cluster.home().join("data/postmaster.pid")).unwrap_or_default();
    let postmaster = postmaster.lines().next().unwrap_or_default().to_string();
    let children = fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let pid = entry.ok()?.file_name().into_string().ok()?;
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim();
        let title = fs::read_to_string(format!("/proc/{pid}/cmdline")).ok()?.replace('\0', " ");
        (parent == postmaster).then_some((pid, title))
    });
    let children: Vec<_> = children.collect();
    [(postmaster, "postmaster".to_string())].into_iter().chain(children).collect()
}

/// It may have ended by itself meanwhile.
fn kill(pid: &str) {
    let _ = Command::new("bash").args(["-c", "kill -s KILL \"$0\" 2>/dev/null", pid]).status();
}

/// Kills the first process whose title begins so, if there is any.
fn kill_titled(cluster: &Cluster, title: &str) {
    let processes = server_processes(cluster);
    processes.iter().find(|(_, found)| found.starts_with(title)).inspect(|(pid, _)| kill(pid));
}

const FAULTS: [&str; 8] = [
    "all processes of the server",
    "the postmaster",
    "the orchestrator",
    "a worker",
    "the backend of a client",
    "any process of the server",
    "an immediate shutdown",
    "the launcher",
];

fn inject(fault: &str, cluster: &Cluster, workers: &mut Workers, random: &mut Random) {
    match fault {
        "all processes of the server" => server_processes(cluster).iter().for_each(|(pid, _)| kill(pid)),
        "the postmaster" => kill(&server_processes(cluster)[0].0),
        "the orchestrator" => kill_titled(cluster, "postgres: tasker orchestrator"),
        "a worker" => workers.kill(random.below(KINDS.len() as u64) as usize),
        "the backend of a client" => kill_titled(cluster, "postgres: postgres dags"),
        "any process of the server" => kill(&random.one_of(&server_processes(cluster)).0),
        "an immediate shutdown" => cluster.stop("immediate"),
        "the launcher" => kill_titled(cluster, "postgres: tasker launcher"),
        _ => unreachable!("{fault}"),
    }
}

/// Starts the server where it is down, and waits until it takes connections: after the crash of a child it comes back
/// by itself.
fn wait_until_up(cluster: &Cluster) {
    eventually("the server was up", || {
        cluster.start_again();
        cluster.try_connect("dags").is_ok()
    });
}

#[test]
fn kills_at_random_moments_lose_nothing_and_repeat_nothing() {
    let rounds = number_from_environment("TASKER_FAULT_ROUNDS", FAULTS.len() as u64);
    let seed = number_from_environment("TASKER_FAULT_SEED", 20_261_124);
    println!("seed: {seed}, rounds: {rounds}");
    let mut random = Random(seed);
    let cluster = Cluster::start("crash", &["tasker.cycle_interval=50ms"]);
    let mut dags = prepare(&cluster, &mut random);
    let over = AtomicBool::new(false);
    let requests = thread::scope(|scope| {
        let mut workers = Workers::start(&cluster);
        let (seeds, over) = ([random.next(), random.next()], &over);
        let requesters = [false, true].map(|by_queue| {
            let (cluster, random) = (&cluster, Random(seeds[usize::from(by_queue)]));
            scope.spawn(move || request(cluster, by_queue, random, over))
        });
        for round in 0..rounds {
            under_load(&cluster);
            thread::sleep(Duration::from_millis(random.below(200)));
            let fault = FAULTS[round as usize % FAULTS.len()];
            println!("round {round}: {fault}");
            inject(fault, &cluster, &mut workers, &mut random);
            wait_until_up(&cluster);
        }
        over.store(true, Ordering::Relaxed);
        let requests: Vec<_> = requesters.into_iter().flat_map(|requester| requester.join().unwrap()).collect();
        dags = cluster.connect("dags");
        dags.eventually("select count(*) = 0 from tasker.tasks where finished_at is null");
        dags.eventually("select sum(depth) = 0 from tasker.queue_status");
        requests
    });
    verify(&cluster, &mut dags, &requests);
}

/// Lets an orchestrator enqueue the second step of a task, and takes the server away at once. Whether it is enqueued once more
/// then; either way the task comes to its end.
fn is_enqueued_again(cluster: &Cluster) -> bool {
    let mut shop = cluster.connect("shop");
    shop.is_served();
    let task = shop.request("shop", "two");
    let steps = format!("from tasker.step_status where task_id = {task}");
    shop.eventually(&format!("select count(*) = 1 {steps} and state = 'enqueued'"));
    shop.run("select tasker.complete_step(p.step_id, p.attempt) from tasker.poll_steps('shop') p");
    let enqueued_at = format!("select enqueued_at {steps} and step_name = 'second' and state = 'enqueued'");
    let mut before = Vec::new();
    eventually("the second step was enqueued", || {
        before = shop.rows(&enqueued_at);
        !before.is_empty()
    });
    cluster.stop("immediate");

    eventually("the server was up", || {
        cluster.start_again();
        cluster.try_connect("shop").is_ok()
    });
    let mut shop = cluster.connect("shop");
    shop.eventually(&format!("select exists ({enqueued_at})"));
    let after = shop.rows(&enqueued_at);
    work_until_over(&mut shop, "shop");
    assert_eq!(shop.rows(&format!("select distinct state, attempts {steps}")), ["complete|1"]);
    assert_eq!(shop.leftovers(), [""; 0]);
    before != after
}

/// Nobody flushes the log but who commits.
const NO_OTHER_FLUSH: [&str; 3] = ["wal_writer_delay=10s", "bgwriter_delay=10s", "autovacuum=off"];

#[test]
fn what_a_crash_takes_of_a_pass_the_next_one_does_again() {
    let cluster = Cluster::start("lost_pass", &NO_OTHER_FLUSH);
    cluster.create("shop").register(&two_steps("shop"));
    assert!((0..10).any(|_| is_enqueued_again(&cluster)), "no crash came before a pass was on the disk");
    cluster.set("tasker.synchronous_passes", "on");
    assert!(!(0..3).any(|_| is_enqueued_again(&cluster)));
}

/// Creates templates, and a table that workers write to.
fn prepare(cluster: &Cluster, random: &mut Random) -> Database {
    let mut dags = cluster.create("dags");
    dags.run("create table ledger (step_id bigint, attempt integer, kind text)");
    for (namespace, limit) in NAMESPACES {
        dags.run(&format!("select tasker.create_namespace('{namespace}', max_in_flight => {limit})"));
    }
    for number in 0..TEMPLATES {
        let size = if random.once_in(10) { 40 } else { 1 + random.below(12) };
        let steps = random_steps(random, size, MAX_ATTEMPTS, &json!({"timeout_seconds": 2}));
        let name = format!("dag_{number}");
        dags.register(
            &json!({"namespace_name": namespace_of(number), "name": name, "version": "1.0.0", "steps": steps}),
        );
    }
    dags
}

/// Waits until steps complete by now, so that a fault hits work.
fn under_load(cluster: &Cluster) {
    const COMPLETED: &str = "select count(*) from tasker.step_transitions where to_state = 'complete'";
    let mut before = None;
    let mut dags = cluster.connect("dags");
    eventually("steps completed again", || {
        let Ok(rows) = dags.try_rows(COMPLETED) else {
            // What was killed before may have taken its time to die.
            dags = cluster.try_connect("dags").unwrap_or_else(|_| {
                wait_until_up(cluster);
                cluster.connect("dags")
            });
            return false;
        };
        let completed: i64 = rows[0].parse().unwrap();
        completed > *before.get_or_insert(completed) + 20
    });
}

fn verify(cluster: &Cluster, dags: &mut Database, requests: &[String]) {
    let none = |dags: &mut Database, what: &str, sql: &str| {
        let found = dags.rows(sql);
        assert!(found.is_empty(), "{what}: {found:#?}");
    };
    let leftovers = dags.leftovers();
    assert!(leftovers.is_empty(), "{leftovers:#?}");

    // A key is the end of identity_key, whatever stands before it.
    let keys: BTreeSet<_> = dags
        .rows("select regexp_replace(identity_key, '^.*(?=(queue|function)-)', '') from tasker.tasks")
        .into_iter()
        .collect();
    assert_eq!(keys, requests.iter().cloned().collect(), "what was acknowledged, and what is there");
    assert_eq!(dags.number("select count(*) from tasker.tasks"), requests.len() as i64);
    println!("{} tasks, {} steps", requests.len(), dags.value("select count(*) from tasker.steps"));

    none(dags, "tasks not complete", "select task_id, state from tasker.tasks where state <> 'complete'");
    none(dags, "steps not complete", "select step_id, state from tasker.steps where state <> 'complete'");
    let twice = "select step_id, count(t.step_id)
                 from tasker.steps s left join tasker.step_transitions t using (step_id)
                 where t.to_state = 'complete' group by step_id having count(t.step_id) <> 1";
    none(dags, "steps that completed not exactly once", twice);
    let ends = "select task_id, count(*) from tasker.task_transitions where to_state = 'complete' group by task_id having count(*) <> 1";
    none(dags, "tasks that completed not exactly once", ends);

    let done = "select step_id, attempts as attempt, results ->> 'by' as kind from tasker.steps
                where results ->> 'by' in ('ledger', 'advance')";
    none(dags, "in the ledger and not done", &format!("(select * from ledger) except all ({done})"));
    none(dags, "done and not in the ledger", &format!("({done}) except all (select * from ledger)"));
    let kinds = dags.rows("select results ->> 'by', count(*) > 0 from tasker.steps group by 1 order by 1");
    assert_eq!(kinds, ["advance|t", "exchange|t", "ledger|t", "pop|t", "read|t"], "every kind of worker worked");

    let log = cluster.log();
    let signs = ["PANIC", "pass of the tasker orchestrator failed", "deadlock detected", "a pass failed"];
    let bad: Vec<_> = log.lines().filter(|line| signs.iter().any(|sign| line.contains(sign))).collect();
    assert!(bad.is_empty(), "{bad:#?}");
}
