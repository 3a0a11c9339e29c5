//! How long a result takes to become the next step's message while nothing else goes on, in commits' time.

use std::time::Instant;

use serde_json::json;

use crate::Result;
use crate::json::{Json, Step};
use crate::options::Options;
use crate::report::{Section, figure};
use crate::server::{self, Database};
use crate::stats::percentile;
use crate::templates::{Samples, Shape, context};
use crate::verify;

use super::raw_latency::Hops;

const CHAIN: usize = 10;

/// Milliseconds, one for each time.
#[derive(Default)]
struct Times {
    commits: Vec<f64>,
    /// From the return of `complete_step` to the next step's message.
    hops: Vec<f64>,
    /// From the call of `complete_step`.
    hops_with_report: Vec<f64>,
    /// A chain of ten from its request to its last report.
    chains: Vec<f64>,
    /// The same by `exchange_steps`.
    exchanged: Vec<f64>,
    /// Of that, from the first step's arrival on.
    exchanged_working: Vec<f64>,
    /// Raw pgmq: from the return of a result's send to the next step's message.
    raw_hops: Vec<f64>,
    /// Ten steps sent and taken, a call and a commit each.
    raw_exchanged: Vec<f64>,
}

pub fn measure(options: &Options) -> Result<Section> {
    let mut database = Database::create("bench_latency", "tasker_pg")?;
    Shape::Chain(CHAIN).register(&mut database)?;
    database.run("create table commits (id bigint generated always as identity primary key, filler text)")?;
    let (commits, chains) = if options.quick { (20, 2) } else { (400, 40) };
    server::checkpoint()?;

    let mut times = Times::default();
    one_chain(&mut database, &mut Times::default())?; // to warm up
    one_exchange(&mut database, &mut Times::default())?;
    let mut raw = Hops::start(&database, &Samples::take()?)?;
    raw.time(CHAIN, &mut Vec::new())?;
    raw.time_chain(CHAIN)?;
    for _ in 0..options.rounds {
        time_commits(&mut database, commits, &mut times.commits)?;
        for _ in 0..chains {
            one_chain(&mut database, &mut times)?;
        }
        for _ in 0..chains {
            one_exchange(&mut database, &mut times)?;
        }
        for _ in 0..chains {
            raw.time(CHAIN - 1, &mut times.raw_hops)?;
            times.raw_exchanged.push(raw.time_chain(CHAIN)?);
        }
    }
    raw.stop()?;
    verify::wait_until_over(&mut database)?;
    let tasks = 2 + 2 * (chains * options.rounds) as u64;
    verify::complete(&mut database, tasks, tasks * CHAIN as u64)?;
    database.drop()?;
    Ok(report(&times))
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

fn time_commits(database: &mut Database, count: usize, times: &mut Vec<f64>) -> Result<()> {
    let insert = database.client.prepare("insert into commits (filler) values ($1)")?;
    let filler = context(0).0;
    for _ in 0..count {
        let begin = Instant::now();
        database.client.execute(&insert, &[&filler])?;
        times.push(milliseconds(begin));
    }
    Ok(())
}

fn request_one(database: &mut Database) -> Result<()> {
    database.client.query_one("select tasker.request_task('bench', 'chain', $1)", &[&context(1)])?;
    Ok(())
}

/// A function worker and the background orchestrator take turns.
fn one_chain(database: &mut Database, times: &mut Times) -> Result<()> {
    let poll = database.client.prepare("select message from tasker.poll_steps('bench', max_wait => '10 s')")?;
    let complete = database.client.prepare("select tasker.complete_step($1, $2, $3)")?;
    let results = Json(r#"{"order_id": "A-1000001", "total_cents": 4700}"#.to_string());
    let begin = Instant::now();
    request_one(database)?;
    let mut step = Step::of(&database.client.query_one(&poll, &[])?.try_get(0)?)?;
    for _ in 1..CHAIN {
        let called = Instant::now();
        database.client.query_one(&complete, &[&step.step_id, &step.attempt, &results])?;
        let returned = Instant::now();
        step = Step::of(&database.client.query_one(&poll, &[])?.try_get(0)?)?;
        times.hops.push(milliseconds(returned));
        times.hops_with_report.push(milliseconds(called));
    }
    database.client.query_one(&complete, &[&step.step_id, &step.attempt, &results])?;
    times.chains.push(milliseconds(begin));
    verify::wait_until_over(database)
}

/// A worker that advances its own work; the orchestrator may be quicker to start the task.
fn one_exchange(database: &mut Database, times: &mut Times) -> Result<()> {
    let exchange =
        database.client.prepare("select message from tasker.exchange_steps('bench', $1, max_wait => '10 s')")?;
    let begin = Instant::now();
    request_one(database)?;
    let mut delivered = 0;
    let mut to_deliver: Vec<Json> = Vec::new();
    let mut arrived = None;
    while delivered < CHAIN {
        let received = database.client.query(&exchange, &[&to_deliver])?;
        delivered += to_deliver.len();
        to_deliver.clear();
        for row in &received {
            to_deliver.push(Step::of(&row.try_get(0)?)?.result());
        }
        arrived.get_or_insert_with(Instant::now);
    }
    times.exchanged.push(milliseconds(begin));
    times.exchanged_working.extend(arrived.map(milliseconds));
    verify::wait_until_over(database)
}

fn report(times: &Times) -> Section {
    let mut section = Section::new("latency", "Latency on an idle system");
    let lines = [
        ("commit of one inserted row", &times.commits),
        ("function worker: return of complete_step to the next step's message", &times.hops),
        ("the same from the call of complete_step on", &times.hops_with_report),
        ("chain of 10 by function worker and orchestrator, from the request to the last report", &times.chains),
        ("chain of 10 by exchange_steps, from the request to its end", &times.exchanged),
        ("the same from the first step's arrival on", &times.exchanged_working),
        ("raw pgmq with NOTIFY: return of a result's send to the next step's message", &times.raw_hops),
        ("raw pgmq: ten steps sent and taken, in a call and a commit each", &times.raw_exchanged),
    ];
    let mut rows = Vec::new();
    for (what, values) in lines {
        let mut cells = vec![what.to_string(), values.len().to_string()];
        for percent in [50.0, 95.0, 99.0] {
            cells.push(figure(percentile(values, percent)));
            cells.push(figure(in_commits(times, values, percent)));
        }
        rows.push(cells);
        section.samples.push(json!({"what": what, "milliseconds": values}));
    }
    let head = ["what", "times", "p50 ms", "commits", "p95 ms", "commits", "p99 ms", "commits"];
    section.table("Milliseconds, and multiples of the commit's same percentile", &head, rows);
    section.at_most("result to next message, p50, in commits' p50", 3.0, in_commits(times, &times.hops, 50.0));
    section.at_most("result to next message, p99, in commits' p99", 5.0, in_commits(times, &times.hops, 99.0));
    section.at_most(
        "chain of 10 by exchange_steps, p50, in commits' p50",
        12.0,
        in_commits(times, &times.exchanged, 50.0),
    );
    let to_raw = |values: &[f64], raw: &[f64]| percentile(values, 50.0) / percentile(raw, 50.0);
    section.at_most("result to next message, p50, ÷ raw pgmq's with NOTIFY", 1.0, to_raw(&times.hops, &times.raw_hops));
    section.at_most(
        "chain of 10 by exchange_steps from its first step on, p50, ÷ raw pgmq's ten",
        1.5,
        to_raw(&times.exchanged_working, &times.raw_exchanged),
    );
    section.note("One worker, one connection, one task at a time. Commits are those of single-row inserts by the same connection, in the same run.");
    section.note("Raw pgmq: no state, no history, no lease. A collector waits for a notification, takes the result and sends the next step; the worker waits for his. It is what the machine asks for two sends and two takes by two processes that wake one another.");
    section
}

fn in_commits(times: &Times, values: &[f64], percent: f64) -> f64 {
    percentile(values, percent) / percentile(&times.commits, percent)
}
