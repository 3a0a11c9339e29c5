//! A fault before every statement of every phase of a pass, and of the functions that workers, requesters and operators
//! call: whatever was begun is undone or goes on, and in the end all is as if nothing had happened.
//!
//! A library that is built here (fault_points.c) lets chosen PL/pgSQL statements fail. Every eighth statement is hit, the
//! first time it is executed, with one kind of fault; with TASKER_FAULT_POINTS=each every statement; with
//! TASKER_FAULT_POINTS=all every time that it is executed, with all kinds.

use std::collections::HashMap;
use std::fs;
use std::process::Command;
use std::sync::LazyLock;

#[path = "../common/mod.rs"]
mod common;
use common::random::Random;
use common::{Cluster, Database, environment, eventually, number_from_environment, output, play, project, two_steps};

/// Reject nothing: serialization failure, disk full, insufficient privilege, internal error, I/O error.
const OF_THE_SYSTEM: [&str; 5] = ["40001", "53100", "42501", "XX000", "58030"];
/// Belongs to a message or a task: a pass is repeated in isolation.
const OF_THE_WORK: &str = "22012";

const PASS: &str = "select * from tasker.orchestrate()";

static CLUSTER: LazyLock<Cluster> = LazyLock::new(|| start("fault_points"));

/// A cluster with the library, and a database in the state from which every call is made.
fn start(name: &str) -> Cluster {
    let cluster = Cluster::start(name, &["tasker.enabled=off"]);
    let include = output(Command::new(environment("PG_CONFIG")).arg("--includedir-server"));
    output(
        Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-I", include.trim(), "-o"])
            .arg(cluster.home().join("fault_points.so"))
            .arg(project("tests/fault_points/fault_points.c")),
    );
    cluster.create_empty("scenario").run(&file("scenario.sql"));
    cluster
}

fn file(name: &str) -> String {
    fs::read_to_string(project("tests/fault_points").join(name)).unwrap()
}

fn calls() -> Vec<String> {
    file("calls.sql").lines().skip(1).map(ToString::to_string).collect()
}

/// Which points are hit.
fn coverage() -> String {
    std::env::var("TASKER_FAULT_POINTS").unwrap_or_default()
}

/// A copy of the scenario, which is never changed for good.
struct Stage<'a> {
    cluster: &'a Cluster,
    session: Database,
    digest: String,
    /// The state from which every call is made.
    beginning: Vec<String>,
    /// Sequences do not roll back.
    reset: String,
}

impl Stage<'_> {
    fn new<'a>(cluster: &'a Cluster, name: &str) -> Stage<'a> {
        cluster.connect("postgres").run(&format!("create database {name} template scenario"));
        let mut session = connect(cluster, name);
        session.run("select tasker.take_over()");
        let reset = session.rows(
            "select format('select setval(%L, %s, %L)', format('%I.%I', schemaname, sequencename),
               coalesce(last_value, start_value), last_value is not null)
             from pg_sequences where schemaname in ('tasker', 'pgmq')",
        );
        let (digest, reset) = (file("digest.sql"), reset.join(";"));
        let mut stage = Stage { cluster, session, digest, beginning: Vec::new(), reset };
        stage.beginning = stage.lines();
        stage
    }

    fn reconnect(&mut self) {
        let name = self.session.name.clone();
        eventually("the server was back", || self.cluster.try_connect(&name).is_ok());
        self.session = connect(self.cluster, &name);
    }

    /// After a kill, the server restarts all of its processes.
    fn restarts(&self) -> usize {
        self.cluster.log().matches("all server processes terminated; reinitializing").count()
    }

    /// Makes the call with a fault where `plan` says, and goes on as its caller would. Returns what is there in the end.
    fn end_after(&mut self, call: &str, plan: &str) -> Vec<String> {
        self.session.run(&self.reset);
        if self.fails(call, plan) {
            self.session.run(&self.reset);
            assert!(!self.fails(call, "off"), "{call} after {plan}");
        }
        self.end(call, plan)
    }

    /// Makes the call with a fault, and says what differs from what should be there: where it failed, from the beginning
    /// (and where `goes_on` says so, in the end after it was made again), else from the end of an undisturbed call.
    fn harm(&mut self, call: &str, plan: &str, goes_on: bool, undisturbed: &[String]) -> Vec<String> {
        self.session.run(&self.reset);
        if !self.fails(call, plan) {
            return difference(undisturbed, &self.end(call, plan));
        }
        self.session.run("set fault_points.plan = ''");
        let mut harm = difference(&self.beginning.clone(), &self.lines());
        if goes_on {
            harm.extend(difference(undisturbed, &self.end_after(call, "off")));
        }
        harm
    }

    /// Runs passes until nothing is to be done, and undoes everything.
    fn end(&mut self, call: &str, plan: &str) -> Vec<String> {
        self.session.run("set fault_points.plan = ''");
        for _ in 0..3 {
            self.session.run("select * from tasker.orchestrate()");
        }
        let wrong = self.session.rows("select * from tasker.check()");
        assert!(wrong.is_empty(), "{call} with {plan}: {wrong:#?}");
        let end = self.lines();
        self.session.run("rollback");
        end
    }

    /// Begins a transaction and makes the call. True when it failed by the fault; then all is rolled back. In the end
    /// the plan is as it was.
    fn fails(&mut self, call: &str, plan: &str) -> bool {
        self.session.run(&format!("set fault_points.plan = '{plan}'"));
        self.session.run("begin");
        let restarts = self.restarts();
        let Err(error) = self.session.try_rows(call) else { return false };
        let fault = error.as_db_error().map_or_else(String::new, |error| error.message().to_string());
        let planned = fault.contains("fault point") || ends_the_process(plan);
        assert!(planned, "{call} with {plan}: {error:?}");
        if plan.contains("kill") {
            eventually("the server had noticed", || self.restarts() > restarts);
        }
        if ends_the_process(plan) {
            self.reconnect();
        } else {
            self.session.run("rollback");
        }
        true
    }

    /// The numbers of the statements that a call executes under a plan: all of them, or the first of each.
    fn points(&mut self, call: &str, plan: &str) -> Vec<u64> {
        self.session.run(&self.reset);
        assert!(!self.fails(call, plan), "{call}");
        let (counted, firsts) =
            (self.session.number("show fault_points.counted"), self.session.value("show fault_points.firsts"));
        self.session.run("rollback");
        assert!(counted > 0, "{call} executes no statement");
        let step = if coverage().is_empty() { 8 } else { 1 };
        match &*coverage() {
            "all" => (1..=counted.cast_unsigned()).collect(),
            _ => firsts.split(',').step_by(step).map(|number| number.parse().unwrap()).collect(),
        }
    }

    /// The state, with tasks called by their tags.
    fn lines(&mut self) -> Vec<String> {
        let tags = self.session.rows(
            "select task_id, tags[1] || '#' || row_number() over (partition by tags[1] order by task_id) from tasker.tasks",
        );
        let tags = tags.iter().map(|row| row.split_once('|').unwrap());
        let tags: HashMap<u64, String> = tags.map(|(id, tag)| (id.parse().unwrap(), tag.to_string())).collect();
        let mut lines: Vec<_> = self.session.rows(&self.digest).iter().map(|line| with_tags(line, &tags)).collect();
        lines.sort();
        lines
    }
}

/// Then the client may hear no more than that its connection is closed.
fn ends_the_process(plan: &str) -> bool {
    plan.contains("terminate") || plan.contains("kill")
}

fn connect(cluster: &Cluster, name: &str) -> Database {
    let mut session = cluster.connect(name);
    session.run(&format!("load '{}'", cluster.home().join("fault_points.so").display()));
    session.run("select set_config('tasker.fake_now', play.moment(), false); set client_min_messages = error");
    session
}

/// Writes every number that is the id of a task or step with the task's tag.
fn with_tags(line: &str, tags: &HashMap<u64, String>) -> String {
    let mut named = String::new();
    let mut rest = line;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        let (before, number) = rest.split_at(start);
        let end = number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len());
        let (digits, after) = number.split_at(end);
        named += before;
        let id: u64 = digits.parse().unwrap_or_default();
        named += &match (tags.get(&id), tags.get(&(id >> 16))) {
            (Some(tag), _) => tag.clone(),
            (_, Some(tag)) => format!("{tag}/{}", id & 65_535),
            _ => digits.to_string(),
        };
        rest = after;
    }
    named + rest
}

/// What is in one and not in the other.
fn difference(one: &[String], other: &[String]) -> Vec<String> {
    let missing = one.iter().filter(|line| !other.contains(line)).map(|line| format!("- {line}"));
    let added = other.iter().filter(|line| !one.contains(line)).map(|line| format!("+ {line}"));
    missing.chain(added).collect()
}

/// Hits a call at every point, and compares.
fn survives(stage: &mut Stage, call: &str, states: &[&str]) {
    let undisturbed = stage.end_after(call, "off");
    assert_eq!(difference(&undisturbed, &stage.end_after(call, "off")), [""; 0], "the end of {call} differs by itself");
    let points = stage.points(call, "off");
    let mut hits = 0;
    for (n, point) in points.iter().enumerate() {
        let kinds = if coverage() == "all" { states } else { &states[n % states.len()..][..1] };
        for state in kinds {
            let harm =
                stage.harm(call, &format!("{point}={state}"), n % 16 == 15 || n + 1 == points.len(), &undisturbed);
            assert!(harm.is_empty(), "{call} with {state} at {point}: {harm:#?}");
            hits += 1;
        }
    }
    println!("{hits} faults in {call}");
}

#[test]
fn a_fault_before_any_statement_of_a_pass_changes_nothing_in_the_end() {
    let mut states = vec![OF_THE_WORK];
    states.extend(OF_THE_SYSTEM);
    survives(&mut Stage::new(&CLUSTER, "pass"), PASS, &states);
}

#[test]
fn a_fault_before_any_statement_of_a_pass_in_isolation_rejects_nothing_when_it_is_the_systems() {
    let mut stage = Stage::new(&CLUSTER, "isolated");
    let undisturbed = stage.end_after(PASS, "off");
    let (first, points) = isolated_points(&mut stage);
    for (n, point) in points.iter().enumerate() {
        let state = OF_THE_SYSTEM[n % OF_THE_SYSTEM.len()];
        let harm = stage.harm(PASS, &format!("{first},{point}={state}"), n % 16 == 15, &undisturbed);
        assert!(harm.is_empty(), "with {state} at {point}: {harm:#?}");
    }
    println!("{} faults in isolation", points.len());
}

/// A plan by which a pass is repeated in isolation, and the points that follow in it.
fn isolated_points(stage: &mut Stage) -> (String, Vec<u64>) {
    let isolates = |stage: &mut Stage, point: u64| {
        stage.session.run(&stage.reset);
        let failed = stage.fails(PASS, &format!("{point}={OF_THE_WORK}"));
        stage.session.run("rollback");
        !failed
    };
    let first = (1..).find(|point| isolates(stage, *point)).unwrap();
    let plan = format!("{first}={OF_THE_WORK}");
    let points = stage.points(PASS, &plan).into_iter().filter(|point| *point > first).collect();
    (plan, points)
}

/// Then it is somebody's: at most one thing is set aside, and everything else goes on.
#[test]
fn a_fault_of_the_work_in_isolation_sets_aside_one_thing_at_most() {
    let mut stage = Stage::new(&CLUSTER, "aside");
    let rejected = |end: &[String]| end.iter().filter(|line| line.starts_with("rejected")).count();
    let undisturbed = rejected(&stage.end_after(PASS, "off"));
    let (first, points) = isolated_points(&mut stage);
    for point in points {
        let plan = format!("{first},{point}={OF_THE_WORK}");
        let more = rejected(&stage.end_after(PASS, &plan)) - undisturbed;
        assert!(more <= 1, "with {plan} {more} messages more were rejected");
    }
}

#[test]
fn a_fault_before_any_statement_of_a_call_undoes_the_call() {
    let mut states = vec![OF_THE_WORK];
    states.extend(OF_THE_SYSTEM);
    let mut stage = Stage::new(&CLUSTER, "calls");
    for call in calls() {
        survives(&mut stage, &call, &states);
    }
}

#[test]
fn the_end_of_the_process_before_any_statement_changes_nothing_in_the_end() {
    let cluster = start("fault_kills");
    let mut stage = Stage::new(&cluster, "ends");
    let mut random = Random(number_from_environment("TASKER_FAULT_SEED", 20_261_125));
    let rounds = number_from_environment("TASKER_FAULT_ROUNDS", 4);
    for call in calls().iter().map(String::as_str).take(3).chain([PASS]) {
        let undisturbed = stage.end_after(call, "off");
        let points = stage.points(call, "off");
        for round in 0..rounds {
            let plan = format!("{}={}", random.one_of(&points), ["terminate", "kill"][round as usize % 2]);
            let different = difference(&undisturbed, &stage.end_after(call, &plan));
            assert!(different.is_empty(), "{call} with {plan}: {different:#?}");
        }
    }
}

/// The same in the background worker: it must come back, and its work with it.
#[test]
fn the_orchestrator_goes_on_after_any_fault() {
    let library = CLUSTER.home().join("fault_points.so");
    let cluster =
        Cluster::start("fault_worker", &[&format!("shared_preload_libraries=tasker_pg,{}", library.display())]);
    let mut shop = cluster.create("shop");
    shop.register(&two_steps("shop"));
    shop.is_served();
    let mut random = Random(number_from_environment("TASKER_FAULT_SEED", 20_261_126));
    for round in 0..number_from_environment("TASKER_FAULT_ROUNDS", 8) {
        let fault = ["53100", OF_THE_WORK, "terminate", "kill"][round as usize % 4];
        let point = 20 + random.below(300);
        println!("{fault} at {point}");
        shop.run("select count(tasker.request_task('shop', 'two')) from generate_series(1, 20)");
        cluster.set("fault_points.plan", &format!("{point}={fault}"));
        eventually("the fault was met", || met(&cluster) > round as usize);
        eventually("the fault was gone", || {
            cluster.try_connect("postgres").is_ok_and(|mut postgres| {
                postgres.try_rows("alter system reset all").is_ok()
                    && postgres.try_rows("select pg_reload_conf()").is_ok()
            })
        });
        eventually("every task was over", || {
            cluster.try_connect("shop").is_ok_and(|database| {
                shop = database;
                play::try_work_off(&mut shop, "shop").is_ok()
                    && shop
                        .try_rows("select from tasker.tasks where finished_at is null")
                        .is_ok_and(|rows| rows.is_empty())
            })
        });
    }
    assert_eq!(shop.rows("select distinct state from tasker.tasks"), ["complete"]);
    assert!(shop.leftovers().is_empty(), "{:?}", shop.leftovers());
}

/// How many faults the log tells of.
fn met(cluster: &Cluster) -> usize {
    let log = cluster.log();
    let told = [
        "a pass failed and is repeated",
        "pass of the tasker orchestrator failed",
        "FATAL:  terminated at fault point",
        "was terminated by signal 9",
    ];
    log.lines().filter(|line| told.iter().any(|sign| line.contains(sign))).count()
}
