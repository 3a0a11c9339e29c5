//! What the environment asks for. `make bench` passes these variables on.

use std::env;
use std::path::PathBuf;
use std::str::FromStr;

use crate::Result;

pub struct Options {
    /// Names of sections; empty = all.
    pub selected: Vec<String>,
    /// Seconds instead of minutes: whether it runs, not how fast.
    pub quick: bool,
    pub rounds: usize,
    /// Connections that work; raw pgmq's collectors, or the orchestrator, come on top.
    pub workers: usize,
    /// Connections that send raw pgmq's next hops.
    pub collectors: usize,
    /// Steps of one throughput run with batches of 100; with batches of 10 half of it.
    pub steps: u64,
    pub minutes: f64,
    pub reader_minutes: f64,
    /// Tasks that wait.
    pub backlog: u64,
    /// Steps that are finished.
    pub history: u64,
    /// Parallel steps of the wide template.
    pub width: u64,
    pub idle_seconds: u64,
    /// Where RESULTS.md and results/ are.
    pub out: PathBuf,
}

fn number<T: FromStr>(name: &str, default: T) -> Result<T> {
    match env::var(name) {
        Ok(text) if !text.is_empty() => text.parse().map_err(|_| format!("{name} is not a number: {text}").into()),
        _ => Ok(default),
    }
}

impl Options {
    pub fn read() -> Result<Options> {
        let set = |name: &str| env::var(name).is_ok_and(|value| !value.is_empty() && value != "0");
        let quick = set("BENCH_QUICK");
        let pick = |short: u64, long: u64| if quick { short } else { long };
        let minutes = |long: f64| if quick { 0.05 } else { long };
        Ok(Options {
            selected: env::var("BENCH").unwrap_or_default().split_whitespace().map(str::to_string).collect(),
            quick,
            rounds: number("BENCH_ROUNDS", pick(1, 5) as usize)?.max(1),
            workers: number("BENCH_WORKERS", 2)?.max(1),
            collectors: number("BENCH_COLLECTORS", 2)?.max(1),
            steps: number("BENCH_STEPS", pick(600, 40_000))?,
            minutes: number("BENCH_MINUTES", minutes(10.0))?,
            reader_minutes: number("BENCH_READER_MINUTES", minutes(2.0))?,
            backlog: number("BENCH_BACKLOG", pick(2_000, 1_000_000))?,
            history: number("BENCH_HISTORY", pick(2_000, 10_000_000))?,
            width: pick(300, 9_999),
            idle_seconds: pick(1, 30),
            out: env::var("BENCH_OUT").map_or_else(|_| PathBuf::from("bench"), PathBuf::from),
        })
    }

    pub fn selects(&self, section: &str) -> bool {
        self.selected.is_empty() || self.selected.iter().any(|name| name == section)
    }
}
