//! Throw-away clusters for the tests, databases in them, and how to wait for things.
//!
//! A test program starts one cluster for all of its tests, each of which makes a database of its own there. Clusters are
//! removed when the program ends, whatever way its tests ended; a copy of the server log stays.
#![allow(dead_code)] // each test program uses its own part of this

use std::ffi::{OsStr, c_int};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use postgres::error::DbError;
use postgres::fallible_iterator::FallibleIterator;
use postgres::{Client, Config, NoTls, SimpleQueryMessage};
use serde_json::{Value, json};

pub mod play;
pub mod random;

/// How long a condition may take to come true. Generous: it only costs time when a test fails.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long to watch that something does not happen.
pub const A_MOMENT: Duration = Duration::from_millis(300);

/// Waits until `holds`. `what` completes the sentence "it took too long until".
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "it took too long until {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Keeps the other tests of this program out: for those that disturb a whole cluster, or are disturbed by what others do
/// there (creating a database, say, wakes every process of the server).
pub fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A variable that scripts/test sets.
pub fn environment(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run the tests with `make test-integration`"))
}

/// A path in the project.
pub fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The blocks of one language that stand below a heading of a document, up to the next heading of the same level.
pub fn documented(document: &str, heading: &str, language: &str) -> Vec<String> {
    let text = fs::read_to_string(project(document)).unwrap_or_else(|error| panic!("{document}: {error}"));
    let section = text.lines().skip_while(|line| *line != heading).skip(1).take_while(|line| !line.starts_with("## "));
    let (start, mut blocks, mut within) = (format!("```{language}"), Vec::new(), false);
    for line in section {
        match line.trim() {
            fence if fence == start => (within, blocks) = (true, [blocks, vec![String::new()]].concat()),
            "```" => within = false,
            _ if within => blocks.last_mut().into_iter().for_each(|block| *block += &format!("{line}\n")),
            _ => {}
        }
    }
    assert!(!blocks.is_empty(), "{document} has no {start} block below {heading:?}");
    blocks
}

/// A program of the server under test, say psql.
pub fn server_program(name: &str) -> PathBuf {
    Path::new(&environment("PG_BINDIR")).join(name)
}

/// A command that runs as the server's user: Postgres refuses to run as root, and a test may.
pub fn as_server_user(program: impl AsRef<OsStr>) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("runuser");
    command.args(["-u", "postgres", "--"]).arg(program).current_dir("/");
    command
}

pub fn is_root() -> bool {
    output(Command::new("id").arg("-u")).trim() == "0"
}

/// Runs a command to its end and returns what it printed. Panics when it fails.
pub fn output(command: &mut Command) -> String {
    let done = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{command:?}: {}\n{out}{err}", done.status);
    out.into_owned()
}

/// Says something that is to be seen although the test passes: println! is shown only when it fails.
pub fn tell(what: &str) {
    let _ = writeln!(std::io::stderr(), "{what}");
}

/// A number from the environment, for tests that are short unless told otherwise.
pub fn number_from_environment(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .map_or(default, |value| value.parse().unwrap_or_else(|_| panic!("{name} is no number: {value}")))
}

/// Sends a signal to a process. By the shell's own `kill`: a bare machine has no other.
pub fn signal(name: &str, pid: &str) {
    output(Command::new("bash").args(["-c", "kill -s \"$0\" \"$1\"", name, pid]));
}

static STARTED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

unsafe extern "C" {
    fn atexit(callback: extern "C" fn()) -> c_int;
}

/// A test program ends by exit(), also when tests failed, and drops no statics.
extern "C" fn remove_clusters() {
    for dir in STARTED.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
        let _ = fs::copy(dir.join("log"), dir.with_extension("log"));
        let _ = cluster_script("remove", &dir).output();
    }
}

fn cluster_script(verb: &str, dir: &Path) -> Command {
    let mut command = Command::new(project("scripts/cluster"));
    // With it, every error that a server raises through Rust carries a backtrace.
    command.arg(verb).arg(dir).env_remove("RUST_BACKTRACE");
    command
}

/// Says that something was not tested, and why: past the capture of output, so that scripts/test can repeat it in the end.
pub fn skip(what: &str) {
    // Its own line, whatever stands before it.
    let _ = writeln!(std::io::stderr(), "\nSKIPPED {what}");
}

/// The newest server there is that is newer than the one under test and has this very extension: its major version.
pub fn newer_server() -> Option<u32> {
    let newer = r#"
        source scripts/env.sh && use_server
        script=extension/tasker_pg--$(version).sql
        for major in 18 17 16; do
          [[ $major -gt $PG_MAJOR ]] || continue
          config=$(server_of_version "$major")
          if [[ -n $config ]] && cmp -s "$PG_SHAREDIR/$script" "$("$config" --sharedir)/$script"; then echo "$major"; break; fi
        done"#;
    let found = output(Command::new("bash").args(["-c", newer]).current_dir(project(".")));
    found.trim().parse().ok()
}

pub struct Cluster {
    dir: PathBuf,
    /// The major version of its server, where it is not the one under test.
    server: Option<u32>,
    settings: Vec<String>,
    host: String,
    port: String,
}

impl Cluster {
    /// Starts a new cluster with these settings ("name=value"); tasker_pg is preloaded unless they say otherwise. It is
    /// removed when the test program ends.
    pub fn start(name: &str, settings: &[&str]) -> Cluster {
        Cluster::new(name, None, settings).started()
    }

    /// The same, of another server than the one under test.
    pub fn start_with(server: u32, name: &str, settings: &[&str]) -> Cluster {
        Cluster::new(name, Some(server), settings).started()
    }

    /// Makes and starts a cluster of a newer server by pg_upgrade from this one, which ends.
    pub fn upgraded(&self, server: u32, name: &str) -> Cluster {
        let upgraded = Cluster { settings: self.settings.clone(), ..Cluster::new(name, Some(server), &[]) };
        output(upgraded.script("upgrade").arg(&self.dir));
        upgraded.started()
    }

    fn new(name: &str, server: Option<u32>, settings: &[&str]) -> Cluster {
        let dir = Path::new(&environment("TASKER_CLUSTERS")).join(name);
        output(&mut cluster_script("remove", &dir)); // of a run that was killed
        let mut started = STARTED.lock().unwrap_or_else(PoisonError::into_inner);
        if started.is_empty() {
            // SAFETY: registers a function that lives as long as the program.
            unsafe { atexit(remove_clusters) };
        }
        started.push(dir.clone());
        drop(started);
        // Every database of a test takes a worker.
        let settings =
            ["fsync=off", "max_worker_processes=40"].iter().chain(settings).map(ToString::to_string).collect();
        Cluster { dir, server, settings, host: String::new(), port: String::new() }
    }

    fn started(mut self) -> Cluster {
        let printed = self.start_again();
        let value = |name: &str| {
            let found = printed.split_whitespace().find_map(|word| word.strip_prefix(name));
            found.unwrap_or_else(|| panic!("no {name} in {printed}")).to_string()
        };
        (self.host, self.port) = (value("PGHOST="), value("PGPORT="));
        self
    }

    fn script(&self, verb: &str) -> Command {
        let mut command = cluster_script(verb, &self.dir);
        if let Some(server) = self.server {
            command.env("PG", server.to_string()).env_remove("PG_CONFIG");
        }
        command
    }

    /// Starts a copy of a running cluster, made by pg_basebackup; one that follows it with `follows`, by this name.
    pub fn start_copy(of: &Cluster, name: &str, follows: bool, settings: &[&str]) -> Cluster {
        let mut cluster = Cluster::start(name, &[]);
        cluster.stop("immediate");
        let data = cluster.home().join("data");
        output(as_server_user("rm").arg("-rf").arg(&data));
        let mut backup = as_server_user(server_program("pg_basebackup"));
        backup.args(["-h", &of.host, "-p", &of.port, "-U", "postgres", "--checkpoint=fast", "-D"]).arg(&data);
        output(&mut backup);
        cluster.settings.extend(settings.iter().map(ToString::to_string));
        if follows {
            output(as_server_user("touch").arg(data.join("standby.signal")));
            cluster.settings.push(format!(
                "primary_conninfo=host={} port={} user=postgres application_name={name}",
                of.host, of.port
            ));
        }
        cluster.start_again();
        cluster
    }

    /// Starts it after `stop`. Returns where it is, as shell text.
    pub fn start_again(&self) -> String {
        output(self.script("start").args(&self.settings))
    }

    /// Ends the server in the given way, "fast" or "immediate".
    pub fn stop(&self, mode: &str) {
        output(self.script("stop").arg(mode));
    }

    /// Creates a database with the extension.
    pub fn create(&self, name: &str) -> Database {
        let mut database = self.create_empty(name);
        database.run("set client_min_messages = warning; create extension tasker_pg cascade");
        database
    }

    /// Creates a database.
    pub fn create_empty(&self, name: &str) -> Database {
        self.connect("postgres").run(&format!("create database {name}"));
        self.connect(name)
    }

    pub fn connect(&self, database: &str) -> Database {
        self.try_connect(database).unwrap_or_else(|error| panic!("cannot connect to {database}: {error}"))
    }

    pub fn try_connect(&self, database: &str) -> Result<Database, postgres::Error> {
        Database::connect(&self.host, &self.port, "postgres", database)
    }

    /// Where it can be reached: the folder of its socket, and the port.
    pub fn address(&self) -> [&str; 2] {
        [&self.host, &self.port]
    }

    /// The folder that holds its data, its log and its socket, and belongs to the server's user.
    pub fn home(&self) -> &Path {
        Path::new(&self.host)
    }

    /// A command whose libpq finds this database.
    pub fn command(&self, program: impl AsRef<OsStr>, database: &str) -> Command {
        let mut command = Command::new(program);
        command.envs([
            ("PGHOST", &*self.host),
            ("PGPORT", &self.port),
            ("PGUSER", "postgres"),
            ("PGDATABASE", database),
        ]);
        command
    }

    /// The server log so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.dir.join("log")).unwrap_or_default()).into_owned()
    }

    /// Changes a setting for the whole cluster until `reset_settings`.
    pub fn set(&self, name: &str, value: &str) {
        let mut postgres = self.connect("postgres");
        postgres.run(&format!("alter system set {name} = '{value}'"));
        postgres.run("select pg_reload_conf()");
    }

    pub fn reset_settings(&self) {
        let mut postgres = self.connect("postgres");
        postgres.run("alter system reset all");
        postgres.run("select pg_reload_conf()");
    }
}

/// Sets a flag when it goes: threads that wait for it end also when a test fails.
pub struct SetAtEnd<'a>(pub &'a AtomicBool);

impl Drop for SetAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A connection to a database of a cluster. What is asked comes back as text: rows as psql -At prints them.
pub struct Database {
    client: Client,
    pub name: String,
    /// Whether a test has broken it by hand: `tasker.check()` may find that when it is over.
    pub is_broken: bool,
}

impl Database {
    pub fn connect(host: &str, port: &str, user: &str, database: &str) -> Result<Database, postgres::Error> {
        let mut config = Config::new();
        config.host_path(host).port(port.parse().unwrap_or_default()).user(user).dbname(database);
        Ok(Database { client: config.connect(NoTls)?, name: database.to_string(), is_broken: false })
    }

    /// Runs statements; in one transaction, unless they say otherwise.
    pub fn run(&mut self, sql: &str) {
        self.rows(sql);
    }

    /// What has been notified so far: the channels, and the processes that did. NOTIFY keeps the order of commits, so what was
    /// committed before this call is among it.
    pub fn notified(&mut self, by: &mut Database) -> Vec<(String, String)> {
        let mut found = Vec::new();
        self.run("listen the_end");
        by.run("notify the_end");
        eventually("the last notification had come", || {
            self.run("select");
            let mut notifications = self.client.notifications();
            let new = notifications.iter().map(|one| Ok((one.channel().to_string(), one.process_id().to_string())));
            found.extend(new.collect::<Vec<_>>().expect("notifications can be read"));
            found.iter().any(|(channel, _)| channel == "the_end")
        });
        self.run("unlisten the_end");
        found.into_iter().filter(|(channel, _)| channel != "the_end").collect()
    }

    /// The rows of the last statements that return any, columns joined by `|`.
    pub fn rows(&mut self, sql: &str) -> Vec<String> {
        self.try_rows(sql).unwrap_or_else(|error| panic!("{sql}: {}", explain(&error)))
    }

    pub fn try_rows(&mut self, sql: &str) -> Result<Vec<String>, postgres::Error> {
        let messages = self.client.simple_query(sql)?;
        Ok(messages
            .iter()
            .filter_map(|message| match message {
                SimpleQueryMessage::Row(row) => {
                    let columns = (0..row.len()).map(|column| row.get(column).unwrap_or_default());
                    Some(columns.collect::<Vec<_>>().join("|"))
                }
                _ => None,
            })
            .collect())
    }

    /// The only row.
    pub fn value(&mut self, sql: &str) -> String {
        let mut rows = self.rows(sql);
        assert_eq!(rows.len(), 1, "{sql}: one row was expected, not {rows:?}");
        rows.remove(0)
    }

    pub fn number(&mut self, sql: &str) -> i64 {
        let value = self.value(sql);
        value.parse().unwrap_or_else(|_| panic!("{sql}: a number was expected, not {value:?}"))
    }

    pub fn holds(&mut self, sql: &str) -> bool {
        self.value(sql) == "t"
    }

    /// The error that a statement raises.
    pub fn error(&mut self, sql: &str) -> DbError {
        match self.try_rows(sql) {
            Ok(rows) => panic!("{sql}: an error was expected, not {rows:?}"),
            Err(error) => error.as_db_error().unwrap_or_else(|| panic!("{sql}: {error}")).clone(),
        }
    }

    /// Waits until a query answers true. When it does not, says how the orchestrator stands.
    pub fn eventually(&mut self, sql: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.holds(sql) {
            if Instant::now() > deadline {
                let status = self.rows("select o::text from tasker.orchestrator_status o");
                panic!("it took too long until {sql}\norchestrators: {status:#?}");
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Runs a statement with text parameters and returns its only value, cast to text.
    pub fn call(&mut self, sql: &str, parameters: &[&str]) -> String {
        let parameters: Vec<_> = parameters.iter().map(|p| p as &(dyn postgres::types::ToSql + Sync)).collect();
        let row = self.client.query_one(sql, &parameters).unwrap_or_else(|error| panic!("{sql}: {}", explain(&error)));
        row.get::<_, Option<String>>(0).unwrap_or_default()
    }

    pub fn register(&mut self, definition: &Value) -> String {
        self.call("select tasker.register_template($1::text)::text", &[&definition.to_string()])
    }

    /// Requests one task in a transaction of its own, and returns its id.
    pub fn request(&mut self, namespace: &str, name: &str) -> i64 {
        self.number(&format!("select tasker.request_task('{namespace}', '{name}')"))
    }

    /// Waits until the orchestrators here have found out what to do and have done it.
    pub fn is_served(&mut self) {
        self.eventually("select bool_and(situation = 'running' and state = 'idle') from tasker.orchestrator_status");
    }

    /// How many passes its only orchestrator has made.
    pub fn passes(&mut self) -> i64 {
        self.number("select passes from tasker.orchestrator_status")
    }

    pub fn orchestrator(&mut self) -> String {
        self.value("select pid from tasker.orchestrator_status")
    }

    /// Everything that is wrong or left over in the end.
    pub fn leftovers(&mut self) -> Vec<String> {
        let mut found = self.rows("select * from tasker.check()");
        found.extend(self.rows("select 'queue ' || queue_name, depth from tasker.queue_status where depth <> 0"));
        found.extend(self.rows("select 'rejected', reason, message from tasker.rejected_messages"));
        // The others outlive what they watch over, and find nothing to do when they fire.
        found.extend(self.rows("select 'timer', kind from tasker.timers where kind in ('start', 'retry')"));
        found
    }
}

impl Drop for Database {
    /// However a test leaves a database, `tasker.check()` has nothing to say of it.
    fn drop(&mut self) {
        const MAY_ASK: &str = "reset role;
            select current_setting('is_superuser')::boolean and exists (select from pg_extension where extname = 'tasker_pg')";
        if thread::panicking() || self.client.is_closed() {
            return;
        }
        // In a transaction that has failed nothing can be asked.
        if self.try_rows(MAY_ASK).is_ok_and(|answer| answer == ["t"]) {
            let found = self.rows("select * from tasker.check()");
            assert!(found.is_empty() || self.is_broken, "{}: {found:#?}", self.name);
        }
    }
}

fn explain(error: &postgres::Error) -> String {
    match error.as_db_error() {
        Some(error) => format!("{} {} {:?}", error.code().code(), error.message(), error.detail()),
        None => error.to_string(),
    }
}

/// A template whose steps are named with their parents.
pub fn template(namespace: &str, name: &str, steps: &[(&str, &[&str])]) -> Value {
    let steps: Vec<_> = steps
        .iter()
        .map(|(name, parents)| json!({"name": name, "dependencies": parents, "retry": {"backoff_base_ms": 10}}))
        .collect();
    json!({"namespace_name": namespace, "name": name, "version": "1.0.0", "steps": steps})
}

/// Two steps, one after the other.
pub fn two_steps(namespace: &str) -> Value {
    template(namespace, "two", &[("first", &[]), ("second", &["first"])])
}
