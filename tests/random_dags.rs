//! Random graphs, random failures, four workers of four kinds and two orchestrators: in the end every step has succeeded
//! exactly once, after all of its parents, and nothing is left over.

use std::collections::HashMap;
use std::sync::{Mutex, OnceLock};
use std::thread;

mod common;
use common::random::{Random, random_steps};
use common::{Cluster, Database, eventually};
use serde_json::{Value, json};

const TASKS: usize = 200;
const SEED: u64 = 20_261_123;
/// Name and max_in_flight. In the tight ones work has to wait for room.
const NAMESPACES: [(&str, &str); 3] = [("wide", "null"), ("narrow", "20"), ("tight", "3")];
const MAX_ATTEMPTS: u64 = 4;

fn random_template(random: &mut Random, number: usize) -> Value {
    let size = if random.once_in(10) { 40 } else { 1 + random.below(12) };
    let steps = random_steps(random, size, MAX_ATTEMPTS, &json!({}));
    let namespace = NAMESPACES[number % NAMESPACES.len()].0;
    json!({"namespace_name": namespace, "name": format!("dag_{number}"), "version": "1.0.0", "steps": steps})
}

/// How often a step fails before it succeeds.
fn planned_failures(step_id: i64) -> u64 {
    Random(step_id.cast_unsigned()).below(8).saturating_sub(8 - MAX_ATTEMPTS)
}

/// What the workers have been told and have done.
#[derive(Default)]
struct Diary {
    /// By step: the attempts that were handed out.
    attempts: HashMap<i64, Vec<i64>>,
    /// By step: how often it was given back untried.
    released: HashMap<i64, u64>,
    /// Results that were sent.
    sent: Vec<String>,
    wrong: Vec<String>,
}

static DIARY: OnceLock<Mutex<Diary>> = OnceLock::new();
static TEMPLATES: OnceLock<HashMap<String, Value>> = OnceLock::new();

fn diary() -> std::sync::MutexGuard<'static, Diary> {
    DIARY.get_or_init(Mutex::default).lock().unwrap()
}

fn id(message: &Value) -> i64 {
    message["step_id"].as_i64().unwrap()
}

/// Tries a step: the result message.
fn execute(message: &Value) -> Value {
    let (step_id, attempt) = (id(message), message["attempt"].as_i64().unwrap());
    check_sequence(message);
    let mut diary = diary();
    diary.attempts.entry(step_id).or_default().push(attempt);
    let tried = diary.attempts[&step_id].len() as u64;
    drop(diary);
    let succeeds = tried > planned_failures(step_id);
    json!({"step_id": step_id, "task_id": message["task_id"], "attempt": attempt,
           "status": if succeeds { "success" } else { "failure" },
           "result_data": if succeeds { json!({"of": step_id}) } else { Value::Null },
           "error": if succeeds { Value::Null } else { json!({"message": "not yet"}) }})
}

/// The message must hold the results of exactly the parents, in the order in which they stand in the template.
fn check_sequence(message: &Value) {
    let template = &TEMPLATES.get().unwrap()[message["task_name"].as_str().unwrap()];
    let steps = template["steps"].as_array().unwrap();
    let step = steps.iter().find(|step| step["name"] == message["step_name"]).unwrap();
    let parents = step["dependencies"].as_array().unwrap();
    let first = message["task_id"].as_i64().unwrap() * 65_536 + 1;
    let ids = steps.iter().enumerate().filter(|(_, step)| parents.contains(&step["name"]));
    let expected: Vec<_> = ids
        .map(|(index, step)| {
            let step_id = first + index as i64;
            json!({"step_id": step_id, "step_name": step["name"], "results": {"of": step_id}})
        })
        .collect();
    if message["execution_context"]["sequence"] != json!(expected) {
        diary().wrong.push(format!("{message} should come with {expected:?}"));
    }
}

/// Takes some steps of a namespace and does them; how, is the kind of worker. Returns how many.
type Work = fn(&mut Database, &str, &mut Random) -> usize;

const KINDS: [Work; 4] = [pop_and_send, read_and_delete, poll_and_complete, poll_and_complete_many];

fn messages(database: &mut Database, sql: &str) -> Vec<Value> {
    database.rows(sql).iter().map(|row| serde_json::from_str(row).unwrap()).collect()
}

fn quoted(value: &Value) -> String {
    format!("'{}'::jsonb", value.to_string().replace('\'', "''"))
}

/// Plain pgmq, each in a transaction of its own; some results are sent twice, and some old ones again.
fn pop_and_send(database: &mut Database, namespace: &str, random: &mut Random) -> usize {
    let taken =
        messages(database, &format!("select message from pgmq.pop('{namespace}_queue', {})", 1 + random.below(5)));
    for message in &taken {
        let result = quoted(&execute(message));
        let twice = random.once_in(10).then(|| result.clone());
        let again = if random.once_in(5) { old_result(random) } else { None };
        diary().sent.push(result.clone());
        for result in [Some(result), twice, again].into_iter().flatten() {
            database.run(&format!("select pgmq.send('orchestration_step_results', {result})"));
        }
    }
    taken.len()
}

fn old_result(random: &mut Random) -> Option<String> {
    let sent = &diary().sent;
    let place = random.below(sent.len().max(1) as u64) as usize;
    sent.get(place).cloned()
}

/// Plain pgmq, hidden first; deleted in the transaction that sends the results.
fn read_and_delete(database: &mut Database, namespace: &str, random: &mut Random) -> usize {
    let queue = format!("{namespace}_queue");
    let taken = messages(
        database,
        &format!(
            "select jsonb_build_object('msg_id', msg_id, 'message', message) from pgmq.read('{queue}', 60, {})",
            1 + random.below(10)
        ),
    );
    if !taken.is_empty() {
        let results: Vec<_> = taken.iter().map(|row| quoted(&execute(&row["message"]))).collect();
        let ids: Vec<_> = taken.iter().map(|row| row["msg_id"].to_string()).collect();
        database.run(&format!(
            "begin;
             select pgmq.send_batch('orchestration_step_results', array[{}]);
             select pgmq.delete('{queue}', array[{}]::bigint[]);
             commit",
            results.join(","),
            ids.join(",")
        ));
    }
    taken.len()
}

fn poll(database: &mut Database, namespace: &str, random: &mut Random) -> Vec<Value> {
    messages(
        database,
        &format!(
            "select message from tasker.poll_steps('{namespace}', {}, max_wait => '20 ms', worker_id => 'random')",
            1 + random.below(10)
        ),
    )
}

/// Functions, each report in a transaction of its own, now and then with a heartbeat before it or given back instead.
fn poll_and_complete(database: &mut Database, namespace: &str, random: &mut Random) -> usize {
    let taken = poll(database, namespace, random);
    for message in &taken {
        let (step_id, attempt) = (id(message), &message["attempt"]);
        if random.once_in(20) {
            assert!(database.holds(&format!("select tasker.release_steps(array[{step_id}], array[{attempt}]) = 1")));
            *diary().released.entry(step_id).or_default() += 1;
            continue;
        }
        if random.once_in(10) {
            assert!(database.holds(&format!("select tasker.extend_step({step_id}, {attempt}, '1 minute')")));
        }
        let result = execute(message);
        if result["status"] == "success" {
            let data = quoted(&result["result_data"]);
            database.run(&format!("select tasker.complete_step({step_id}, {attempt}, {data})"));
        } else {
            database.run(&format!("select tasker.fail_step({step_id}, {attempt}, {})", quoted(&result["error"])));
        }
    }
    taken.len()
}

/// Functions, all of a batch reported at once, backwards.
fn poll_and_complete_many(database: &mut Database, namespace: &str, random: &mut Random) -> usize {
    let taken = poll(database, namespace, random);
    if !taken.is_empty() {
        let results: Vec<_> = taken.iter().rev().map(|message| quoted(&execute(message))).collect();
        let outcomes =
            database.rows(&format!("select outcome from tasker.complete_steps(array[{}])", results.join(",")));
        assert!(outcomes.iter().all(|outcome| outcome == "queued"), "{outcomes:?}");
    }
    taken.len()
}

fn work_until_over(mut database: Database, work: Work, mut random: Random) {
    eventually("every task was over", || {
        let taken: usize = NAMESPACES.iter().map(|(namespace, _)| work(&mut database, namespace, &mut random)).sum();
        taken == 0 && database.holds("select count(*) = 0 from tasker.tasks where finished_at is null")
    });
}

/// Half of the tasks by function, half through the queue.
fn request(database: &mut Database, number: usize, template: &Value) {
    let (namespace, name) = (&template["namespace_name"].as_str().unwrap(), &template["name"].as_str().unwrap());
    if number.is_multiple_of(2) {
        database.request(namespace, name);
    } else {
        let request = quoted(&json!({"namespace": namespace, "name": name, "context": {"number": number}}));
        database.run(&format!("select pgmq.send('orchestration_task_requests', {request})"));
    }
}

#[test]
fn every_step_of_random_graphs_succeeds_exactly_once() {
    println!("seed: {SEED}");
    let mut random = Random(SEED);
    let templates: Vec<_> = (0..TASKS).map(|number| random_template(&mut random, number)).collect();
    let by_name = templates.iter().map(|template| (template["name"].as_str().unwrap().to_string(), template.clone()));
    TEMPLATES.set(by_name.collect()).unwrap();

    let cluster = Cluster::start("random_dags", &["tasker.orchestrators=2"]);
    let mut database = cluster.create("dags");
    for (namespace, limit) in NAMESPACES {
        database.run(&format!("select tasker.create_namespace('{namespace}', max_in_flight => {limit})"));
    }
    templates.iter().for_each(|template| drop(database.register(template)));
    thread::scope(|scope| {
        for (number, work) in KINDS.into_iter().enumerate() {
            let (worker, random) = (cluster.connect("dags"), Random(SEED + number as u64));
            scope.spawn(move || {
                let mut worker = worker;
                worker.eventually("select exists (select from tasker.tasks)");
                work_until_over(worker, work, random);
            });
        }
        templates.iter().enumerate().for_each(|(number, template)| request(&mut database, number, template));
    });
    // Accepted late, after the workers had found everything over.
    database.eventually(&format!("select count(*) = {TASKS} from tasker.tasks"));
    work_until_over(cluster.connect("dags"), pop_and_send, random);
    verify(&cluster, &mut database, &templates);
}

fn verify(cluster: &Cluster, database: &mut Database, templates: &[Value]) {
    database.eventually("select depth = 0 from tasker.queue_status where queue_name = 'orchestration_step_results'");
    assert!(database.leftovers().is_empty(), "{:?}", database.leftovers());
    assert_eq!(database.rows("select state, count(*) from tasker.tasks group by state"), [format!("complete|{TASKS}")]);
    let steps: usize = templates.iter().map(|template| template["steps"].as_array().unwrap().len()).sum();
    assert_eq!(database.rows("select state, count(*) from tasker.steps group by state"), [format!("complete|{steps}")]);
    let twice = "select step_id, count(*) from tasker.step_transitions where to_state = 'complete'
                 group by step_id having count(*) <> 1";
    assert!(database.rows(twice).is_empty(), "{:?}", database.rows(twice));
    verify_attempts(database);

    let busy = "select count(*) from tasker.orchestrator_status where settled > 0 and errors = 0";
    assert_eq!(database.value(busy), "2", "{:?}", database.rows("select o::text from tasker.orchestrator_status o"));
    let log = cluster.log();
    let bad: Vec<_> = log.lines().filter(|line| is_bad(line)).collect();
    assert!(bad.is_empty(), "{bad:#?}");
}

/// No attempt was handed out twice, and none was made up.
fn verify_attempts(database: &mut Database) {
    let diary = diary();
    assert!(diary.wrong.is_empty(), "{:#?}", diary.wrong);
    for row in database.rows("select step_id, attempts from tasker.steps") {
        let (step_id, attempts) = row.split_once('|').unwrap();
        let (step_id, attempts): (i64, u64) = (step_id.parse().unwrap(), attempts.parse().unwrap());
        let tried = &diary.attempts[&step_id];
        assert!(tried.windows(2).all(|pair| pair[0] < pair[1]), "step {step_id}: {tried:?}");
        assert_eq!(tried.len() as u64, planned_failures(step_id) + 1, "step {step_id}: {tried:?}");
        let released = diary.released.get(&step_id).copied().unwrap_or_default();
        assert_eq!(attempts, tried.len() as u64 + released, "step {step_id}: {tried:?}");
    }
}

fn is_bad(line: &str) -> bool {
    ["ERROR:", "WARNING:", "FATAL:", "PANIC:", "deadlock detected", "a pass failed"]
        .iter()
        .any(|sign| line.contains(sign))
}
