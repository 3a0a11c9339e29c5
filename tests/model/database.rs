//! The database that is played against.

use std::path::{Path, PathBuf};
use std::process::Command;

use postgres::{Client, NoTls, SimpleQueryMessage, Statement};

use crate::model::Ms;

/// When all games begin.
const EPOCH: &str = "2030-01-01 00:00:00+00";

/// What the database answers: its rows, columns joined by `|`, rows by a comma; or the error.
#[derive(Debug, PartialEq)]
pub enum Answer {
    Rows(String),
    Error(String, String),
}

/// One line of snapshot.sql.
#[derive(Debug, Clone)]
pub struct Line {
    pub kind: String,
    pub text: String,
    pub number: i64,
}

pub struct Database {
    client: Client,
    /// To be removed in the end, if it is ours.
    cluster: Option<PathBuf>,
    snapshot: Option<Statement>,
    namespace: String,
    games: u32,
}

impl Database {
    /// Connects to TASKER_MODEL_URL, or starts a cluster of its own under TASKER_CLUSTERS.
    pub fn open() -> Database {
        let (url, cluster) = match std::env::var("TASKER_MODEL_URL") {
            Ok(url) => (url, None),
            Err(_) => start_cluster(),
        };
        let client = Client::connect(&url, NoTls).unwrap_or_else(|error| panic!("cannot connect to {url}: {error}"));
        let mut database = Database { client, cluster, snapshot: None, namespace: String::new(), games: 0 };
        if database.cluster.is_some() {
            database.run("set client_min_messages = warning; create extension tasker_pg cascade");
        }
        database.run("set client_min_messages = error; set synchronous_commit = off");
        database
    }

    /// Prepares a game in a namespace that is new.
    pub fn begin_game(&mut self, limit: Option<i64>) -> String {
        self.games += 1;
        self.namespace = format!("model_{}_{}", std::process::id(), self.games);
        self.set_clock(0);
        // The same game has the same jitter every time, or it could not be shrunk.
        self.run("select setseed(0.5)");
        let limit = limit.map_or_else(|| "null".to_string(), |limit| limit.to_string());
        self.run(&format!("select tasker.create_namespace('{}', max_in_flight => {limit})", self.namespace));
        self.namespace.clone()
    }

    /// `events`: does a template ask for them, and hence is there their queue?
    pub fn prepare_snapshot(&mut self, events: bool) {
        let events = if events {
            &*format!("pgmq.q_{}_events", self.namespace)
        } else {
            "(select jsonb '{}' as message where false)"
        };
        let sql = include_str!("snapshot.sql")
            .replace("{queue}", &format!("q_{}_queue", self.namespace))
            .replace("{events}", events)
            .replace("{epoch}", EPOCH);
        let statement = self.client.prepare(&sql);
        self.snapshot = Some(statement.unwrap_or_else(|error| panic!("{}", explain(&error).1)));
    }

    /// Removes all that the game has left, however broken.
    pub fn end_game(&mut self) {
        self.snapshot = None;
        self.run(&format!(
            "select tasker.drop_namespace('{}', true); delete from tasker.timers; delete from tasker.rejected_messages;
             delete from pgmq.q_orchestration_step_results; delete from pgmq.q_orchestration_task_requests",
            self.namespace
        ));
        if self.games.is_multiple_of(20) {
            self.run("vacuum");
        }
    }

    pub fn set_clock(&mut self, now: Ms) {
        self.run(&format!("select set_config('tasker.fake_now', ({})::text, false)", time(now)));
    }

    /// A pass fires 100 timers and says `more`; the model fires all. Where there are so many, those go that have nothing to
    /// watch over any more.
    pub fn keep_timers_few(&mut self) {
        self.run(
            "delete from tasker.timers i
             where (select count(*) from tasker.timers d where d.fire_at <= tasker.clock()) > 100
               and not exists (
                 select from unnest(i.step_ids, i.attempts) a(step_id, attempt)
                 join tasker.steps s on s.step_id = a.step_id and s.attempts = a.attempt
                 where s.state in ('enqueued', 'in_progress', 'waiting_for_retry'))
               and i.step_ids is not null",
        );
    }

    pub fn snapshot(&mut self) -> Vec<Line> {
        let Some(statement) = &self.snapshot else { return Vec::new() };
        let rows = self.client.query(statement, &[&self.namespace]);
        let rows = rows.unwrap_or_else(|error| panic!("{}", explain(&error).1));
        let line = |row: &postgres::Row| Line { kind: row.get(0), text: row.get(1), number: row.get(2) };
        rows.iter().map(line).collect()
    }

    pub fn answer(&mut self, sql: &str) -> Answer {
        let messages = match self.client.simple_query(sql) {
            Ok(messages) => messages,
            Err(error) => {
                let (state, message) = explain(&error);
                return Answer::Error(state, message);
            }
        };
        let rows = messages.iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => {
                let columns = (0..row.len()).map(|column| row.get(column).unwrap_or_default());
                Some(columns.collect::<Vec<_>>().join("|"))
            }
            _ => None,
        });
        Answer::Rows(rows.collect::<Vec<_>>().join(", "))
    }

    /// Runs what cannot fail.
    pub fn run(&mut self, sql: &str) {
        if let Answer::Error(state, message) = self.answer(sql) {
            panic!("{sql}: {state} {message}");
        }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if let Some(cluster) = &self.cluster {
            let _ = std::fs::copy(cluster.join("log"), cluster.with_extension("log"));
            let _ = cluster_script("remove", cluster).output();
        }
    }
}

/// A time of the game in SQL.
pub fn time(at: Ms) -> String {
    format!("timestamptz '{EPOCH}' + interval '{at} ms'")
}

/// Milliseconds of the game of a time in SQL.
pub fn milliseconds(time: &str) -> String {
    format!("(extract(epoch from {time} - timestamptz '{EPOCH}') * 1000)::bigint")
}

fn cluster_script(verb: &str, dir: &Path) -> Command {
    let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/cluster"));
    command.arg(verb).arg(dir).env_remove("RUST_BACKTRACE");
    command
}

fn start_cluster() -> (String, Option<PathBuf>) {
    let clusters = std::env::var("TASKER_CLUSTERS").unwrap_or_else(|_| {
        panic!("neither TASKER_CLUSTERS nor TASKER_MODEL_URL is set: run the test with `make test-integration`")
    });
    let dir = Path::new(&clusters).join("model");
    let _ = cluster_script("remove", &dir).output(); // of a run that was killed
    let started = cluster_script("start", &dir)
        .args(["fsync=off", "tasker.enabled=off"])
        .output()
        .unwrap_or_else(|error| panic!("scripts/cluster: {error}"));
    let printed = String::from_utf8_lossy(&started.stdout);
    let value = |name: &str| {
        let found = printed.split_whitespace().find_map(|word| word.strip_prefix(name));
        found.unwrap_or_else(|| panic!("no {name}: {printed}{}", String::from_utf8_lossy(&started.stderr)))
    };
    let url = format!("host={} port={} user=postgres dbname=postgres", value("PGHOST="), value("PGPORT="));
    (url, Some(dir))
}

/// SQLSTATE and message.
fn explain(error: &postgres::Error) -> (String, String) {
    match error.as_db_error() {
        Some(db) => (db.code().code().to_string(), format!("{} {}", db.message(), db.detail().unwrap_or_default())),
        None => (String::new(), error.to_string()),
    }
}
