//! Everybody at once: two orchestrators inside and two outside, workers of five kinds that fail, forget and give back what
//! they took, an operator who cancels, retries, resolves, pauses and changes limits. In the end everything is over, nothing
//! was done twice, nothing is left, and the server's log is clean.
//!
//! `TASKER_STRESS_TASKS` says how many tasks (300), `TASKER_STRESS_SEED` which ones.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

mod common;
use common::random::{Random, random_steps};
use common::{Cluster, Database};
use serde_json::{Value, json};

const NAMESPACES: [(&str, &str); 3] = [("wide", "null"), ("narrow", "20"), ("tight", "3")];
const TEMPLATES: u64 = 30;
/// How long all of it may take: only a test that fails waits for it.
const PATIENCE: Duration = Duration::from_secs(300);
const NAP: Duration = Duration::from_millis(5);

fn variable(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().unwrap_or_else(|_| panic!("{name}: {value}")))
}

fn template(random: &mut Random, number: u64) -> Value {
    let mut steps = {
        let size = 1 + random.below(8);
        random_steps(random, size, 3, &json!({}))
    };
    // Who forgets a step is found out soon.
    steps.iter_mut().for_each(|step| step["timeout_seconds"] = json!(1));
    let mut template =
        json!({"namespace_name": NAMESPACES[number as usize % 3].0, "name": format!("dag_{number}"), "steps": steps});
    if random.once_in(3) {
        template["limits"] = json!({"max_in_flight": 1 + random.below(3)});
    }
    if random.once_in(4) {
        template["on_failure"] = json!("fail_fast");
    }
    template
}

/// `attempt` runs statements and tells what became of them, for those that may well come too late: no error shows in the log.
/// The ledger is what a worker writes in the transaction that completes a step; kept are results that it sends too late.
const PREPARE: &str = "
create table ledger (step_id bigint primary key, attempt integer not null);
create table kept (result jsonb not null, since timestamptz not null default clock_timestamp());
create function attempt(statements text) returns text
language plpgsql
as $$
begin
  execute statements;
  return 'done';
exception
  -- An attempt that is over, a step or task in another state; somebody had a task locked for a second.
  when sqlstate 'TK001' or sqlstate 'TK002' or sqlstate '55000' or sqlstate '55P03' then return sqlstate;
end $$";

/// Whether they are still wanted, and how often they got to do something.
struct Game {
    over: AtomicBool,
    operated: AtomicUsize,
    claimed: AtomicUsize,
}

type Player = fn(&Game, &mut Database, &mut Random);

const PLAYERS: [Player; 9] = [
    |_, database, random| pop_and_send(database, random),
    |_, database, random| read_and_delete(database, random),
    |_, database, random| poll_and_complete(database, random),
    |_, database, random| poll_and_complete(database, random),
    |_, database, random| poll_and_advance(database, random),
    |_, database, random| exchange(database, random),
    |game, database, random| decide_outside(game, database, random, "here"),
    |game, database, random| decide_outside(game, database, random, "there"),
    operate,
];

fn namespace(random: &mut Random) -> &'static str {
    NAMESPACES[random.below(3) as usize].0
}

fn messages(database: &mut Database, sql: &str) -> Vec<Value> {
    let rows = database.rows(sql);
    if rows.is_empty() {
        thread::sleep(NAP);
    }
    rows.iter().map(|row| serde_json::from_str(row).expect("a message")).collect()
}

/// The result of an attempt; None when its worker forgets it.
fn result(message: &Value, random: &mut Random) -> Option<Value> {
    let (step_id, attempt) = (&message["step_id"], &message["attempt"]);
    let result = match random.below(40) {
        0 => return None,
        1..5 => json!({"status": "failure", "error": {"message": "not yet"}}),
        5 => json!({"status": "failure", "error": {"message": "never", "retryable": false}}),
        _ => json!({"status": "success", "result_data": {"attempt": attempt}}),
    };
    let mut result = result;
    (result["step_id"], result["attempt"]) = (step_id.clone(), attempt.clone());
    Some(result)
}

fn array(results: &[Value]) -> String {
    let quoted: Vec<_> = results.iter().map(|result| format!("'{result}'")).collect();
    format!("array[{}]::jsonb[]", quoted.join(","))
}

/// Plain pgmq; one result in ten is sent twice, one is kept until the next attempt is out.
fn pop_and_send(database: &mut Database, random: &mut Random) {
    let queue = format!("{}_queue", namespace(random));
    for message in messages(database, &format!("select message from pgmq.pop('{queue}', {})", 1 + random.below(5))) {
        let Some(result) = result(&message, random) else { continue };
        let send = format!("select pgmq.send('orchestration_step_results', '{result}');");
        database.run(&match random.below(10) {
            0 => send.repeat(2),
            1 => format!("insert into kept values ('{result}')"),
            _ => send,
        });
    }
    database.run(
        "with late as (
           delete from kept k
           using tasker.steps s
           where s.step_id = (k.result ->> 'step_id')::bigint
             and (s.attempts > (k.result ->> 'attempt')::integer and s.state in ('enqueued', 'in_progress')
               or clock_timestamp() > k.since + interval '10 s')
           returning k.result
         )
         select pgmq.send('orchestration_step_results', l.result) from late l",
    );
}

/// Plain pgmq with a lease of its own. What it forgets stays in the queue.
fn read_and_delete(database: &mut Database, random: &mut Random) {
    let queue = format!("{}_queue", namespace(random));
    let read = format!(
        "select jsonb_build_object('id', msg_id, 'message', message) from pgmq.read('{queue}', 1, {})",
        1 + random.below(5)
    );
    for row in messages(database, &read) {
        if let Some(result) = result(&row["message"], random) {
            let id = &row["id"];
            database.run(&format!(
                "select pgmq.send('orchestration_step_results', '{result}'); select pgmq.delete('{queue}', {id})"
            ));
        }
    }
}

fn poll(database: &mut Database, random: &mut Random) -> Vec<Value> {
    let (namespace, qty) = (namespace(random), 1 + random.below(5));
    messages(database, &format!("select message from tasker.poll_steps('{namespace}', {qty}, max_wait => '20 ms')"))
}

/// Functions, with a row of its own in the same transaction; heartbeats, and steps given back.
fn poll_and_complete(database: &mut Database, random: &mut Random) {
    for message in poll(database, random) {
        let (step_id, attempt) = (&message["step_id"], &message["attempt"]);
        if random.once_in(20) {
            database.run(&format!("select tasker.release_steps(array[{step_id}], array[{attempt}])"));
            continue;
        }
        if random.once_in(10) {
            database.run(&format!("select attempt('select tasker.extend_step({step_id}, {attempt}, ''1 s'')')"));
        }
        match result(&message, random) {
            Some(result) if result["status"] == "success" => database.run(&format!(
                "select attempt('insert into ledger values ({step_id}, {attempt});
                                 select tasker.complete_step({step_id}, {attempt})')"
            )),
            Some(result) => database.run(&format!(
                "select attempt('select tasker.fail_step({step_id}, {attempt}, ''{}'')')",
                result["error"]
            )),
            None => {}
        }
    }
}

fn poll_and_advance(database: &mut Database, random: &mut Random) {
    let results: Vec<_> = poll(database, random).iter().filter_map(|message| result(message, random)).collect();
    if !results.is_empty() {
        database.run(&format!("select outcome from tasker.complete_steps({}, advance => true)", array(&results)));
    }
}

/// One call after the other, until nothing comes any more.
fn exchange(database: &mut Database, random: &mut Random) {
    let (namespace, mut results) = (namespace(random), Vec::new());
    loop {
        let received = messages(
            database,
            &format!("select message from tasker.exchange_steps('{namespace}', {}, 5)", array(&results)),
        );
        results = received.iter().filter_map(|message| result(message, random)).collect();
        if results.is_empty() {
            break;
        }
    }
}

/// An orchestrator outside: claims, enqueues, gives back; and now and then forgets what it has claimed.
fn decide_outside(game: &Game, database: &mut Database, random: &mut Random, who: &str) {
    let claimed =
        database.rows(&format!("select task_id from tasker.claim_ready_tasks('{who}', {})", 1 + random.below(3)));
    game.claimed.fetch_add(claimed.len(), Ordering::Relaxed);
    for task in &claimed {
        if !random.once_in(10) {
            database.run(&format!("select attempt('select tasker.enqueue_ready_steps({task})')"));
        }
        if !random.once_in(4) {
            database.run(&format!("select tasker.release_task_claim({task}, '{who}')"));
        }
    }
    thread::sleep(NAP);
}

/// A person who does something to some task or namespace.
fn operate(game: &Game, database: &mut Database, random: &mut Random) {
    const DO: [(&str, &str); 5] = [
        ("cancel_task", "select task_id from tasker.tasks where finished_at is null"),
        ("retry_task", "select task_id from tasker.tasks where state = 'error'"),
        ("retry_step", "select step_id from tasker.steps where state = 'error'"),
        ("resolve_step", "select step_id from tasker.steps where state = 'error'"),
        ("resolve_step", "select step_id from tasker.steps where finished_at is null"),
    ];
    let namespace = namespace(random);
    match random.below(12) {
        0 => database.run(&format!("select tasker.pause_namespace('{namespace}')")),
        1 => database.run(&format!("select tasker.set_namespace_limit('{namespace}', {})", 1 + random.below(30))),
        what => {
            let (function, of) = DO[what as usize % DO.len()];
            database.run(&format!(
                "select attempt(format('select tasker.{function}(%s)', i.id)) from ({of} order by random() limit 1) i(id)"
            ));
        }
    }
    thread::sleep(NAP);
    database.run(&format!("select tasker.resume_namespace('{namespace}')"));
    game.operated.fetch_add(1, Ordering::Relaxed);
    thread::sleep(4 * NAP);
}

/// Half of the tasks by function, half through the queue; every tenth is requested twice with one key.
fn request(database: &mut Database, random: &mut Random, number: u64) {
    let template = random.below(TEMPLATES);
    let (namespace, priority) = (NAMESPACES[template as usize % 3].0, random.below(5));
    for _ in 0..if random.once_in(10) { 2 } else { 1 } {
        if random.once_in(2) {
            database.run(&format!(
                "select tasker.request_task('{namespace}', 'dag_{template}', priority => {priority},
                   idempotency_key => 'number {number}', claim_timeout_seconds => 1)"
            ));
        } else {
            let request = json!({"namespace": namespace, "name": format!("dag_{template}"), "context": {},
                "priority": priority, "idempotency_key": format!("number {number}"), "claim_timeout_seconds": 1});
            database.run(&format!("select pgmq.send('orchestration_task_requests', '{request}')"));
        }
    }
}

fn is_over(database: &mut Database, tasks: u64) -> bool {
    database.holds(&format!("select count(*) = {tasks} and count(*) = count(finished_at) from tasker.tasks"))
        && database.holds("select coalesce(sum(depth), 0) = 0 from tasker.queue_status")
}

/// Until everything is over, for once: somebody may open it again. Or until a player has given up, whose panic then shows.
fn wait(database: &mut Database, tasks: u64, given_up: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_over(database, tasks) && !given_up() && start.elapsed() < PATIENCE {
        thread::sleep(10 * NAP);
    }
}

fn how_it_stands(database: &mut Database) -> Vec<String> {
    [
        "select state, count(*) from tasker.tasks group by state",
        "select state, count(*) from tasker.steps group by state",
        "select queue_name, depth, visible from tasker.queue_status",
        "select namespace, status, in_flight, waiting_tasks, waiting_steps, claimed, fault from tasker.namespace_status",
        "select o::text from tasker.orchestrator_status o",
    ]
    .iter()
    .flat_map(|sql| database.rows(sql))
    .collect()
}

fn verify(cluster: &Cluster, database: &mut Database) {
    assert!(database.leftovers().is_empty(), "{:#?}", database.leftovers());
    for (what, rows) in [
        (
            "completed more than once",
            "select step_id, count(*) from tasker.step_transitions where to_state = 'complete' group by step_id having count(*) > 1",
        ),
        (
            "enqueued twice in one attempt",
            "select step_id, attempt from tasker.step_transitions where to_state = 'enqueued'
             group by step_id, attempt having count(*) > 1",
        ),
        (
            "in the ledger and not complete",
            "select l.step_id, s.state from ledger l left join tasker.steps s using (step_id) where s.state is distinct from 'complete'",
        ),
        (
            "completed by a result of another attempt",
            "select s.step_id, s.attempts, s.results, l.attempt
             from tasker.steps s
             left join ledger l using (step_id)
             where s.state = 'complete' and s.attempts <> coalesce(l.attempt, (s.results ->> 'attempt')::integer)",
        ),
        (
            "an orchestrator that did nothing, or failed",
            "select o::text from tasker.orchestrator_status o where o.settled = 0 or o.errors > 0",
        ),
    ] {
        let found = database.rows(rows);
        assert!(found.is_empty(), "{what}: {found:#?}");
    }
    let log = cluster.log();
    let bad = ["ERROR:", "WARNING:", "FATAL:", "PANIC:", "deadlock detected", "a pass failed"];
    let bad: Vec<_> = log.lines().filter(|line| bad.iter().any(|sign| line.contains(sign))).collect();
    assert!(bad.is_empty(), "{bad:#?}");
}

#[test]
fn everybody_at_once_and_nothing_is_lost_or_done_twice() {
    let (tasks, seed) = (variable("TASKER_STRESS_TASKS", 300), variable("TASKER_STRESS_SEED", 20_261_124));
    let mut random = Random(seed);
    let cluster = Cluster::start("stress", &["tasker.orchestrators=2"]);
    let mut database = cluster.create("stress");
    database.run(PREPARE);
    for (namespace, limit) in NAMESPACES {
        database.run(&format!("select tasker.create_namespace('{namespace}', max_in_flight => {limit})"));
    }
    (0..TEMPLATES).for_each(|number| drop(database.register(&template(&mut random, number))));

    let game = Game { over: AtomicBool::new(false), operated: AtomicUsize::new(0), claimed: AtomicUsize::new(0) };
    thread::scope(|scope| {
        let players: Vec<_> = PLAYERS
            .into_iter()
            .enumerate()
            .map(|(number, player)| {
                let (mut database, mut random, game) = (cluster.connect("stress"), Random(seed + number as u64), &game);
                scope.spawn(move || {
                    while !game.over.load(Ordering::Relaxed) {
                        player(game, &mut database, &mut random);
                    }
                })
            })
            .collect();
        (0..tasks).for_each(|number| request(&mut database, &mut random, number));
        wait(&mut database, tasks, || players.iter().any(thread::ScopedJoinHandle::is_finished));
        game.over.store(true, Ordering::Relaxed);
    });
    // Without whom nothing is opened again: what is still to do ends.
    let start = Instant::now();
    while !is_over(&mut database, tasks) && start.elapsed() < PATIENCE {
        pop_and_send(&mut database, &mut random);
        exchange(&mut database, &mut random);
    }
    assert!(is_over(&mut database, tasks), "{:#?}", how_it_stands(&mut database));
    verify(&cluster, &mut database);
    println!("operated {:?}, claimed {:?}", game.operated, game.claimed);
}
